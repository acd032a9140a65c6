"""Bad records for the topics: valid records of the last release, each damaged in one way that a seed decides."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import orjson

from schemas.partition import partition_of
from schemas.topics import CDC, EVENTS, EXECUTORS, REQUESTS, STATUS
from tests.support.bad_input.values import VALUE_KINDS, Nested, hostile_value

RELEASED = Path(__file__).parents[2] / "released"
RUNS = "runs"
"""Stands for the topic of one of the timeout classes."""
DOORS = (REQUESTS, CDC, EVENTS, EXECUTORS, STATUS, RUNS)
VICTIM = "bad-input-victim"
"""The only job that bad records name: what they do to it is no loss."""
_MARK = "\u2603nested\u2603"
_NAMED = frozenset({"owner", "job_id", "dag_id"})
_WORDS = {"timezone": "UTC", "schedule": "0 0 29 2 *", "executable": "s3://tidemill/x", "timeout_class": "10s"}
_RUNS_NAMED = frozenset({"run_id", "blocked_by"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRecord:
    door: str
    kind: str
    key: bytes | None
    value: bytes | None
    partition: int
    is_aborted: bool = False


def bad_records(seed: int, count: int, partitions: int, doors: Sequence[str] = DOORS) -> Iterator[BadRecord]:
    """`count` records, door after door and kind after kind; the same for the same seed."""
    maker = _Maker(Random(seed), partitions)
    kinds = (*VALUE_KINDS, *RECORD_KINDS)
    for number in range(count):
        kind, door = kinds[number % len(kinds)], doors[number // len(kinds) % len(doors)]
        yield maker.record(door, kind)


class _Maker:
    def __init__(self, random: Random, partitions: int) -> None:
        self.random, self._partitions = random, partitions
        self._templates = _templates()

    def record(self, door: str, kind: str) -> BadRecord:
        valid = orjson.dumps(self.template(door))
        match kind:
            case "garbage":
                value: bytes | None = self.random.randbytes(self.random.choice((1, 100, 10_000)))
            case "cut short":
                value = valid[: self.random.randrange(len(valid))]
            case "invalid UTF-8":
                value = self._invalid_utf8(valid)
            case "no value":
                value = b""
            case "tombstone":
                value = None
            case "wrong partition" | "aborted transaction" | "hostile key":
                value = valid
            case _:
                value = self._damaged(door, kind)
        return self._addressed(door, kind, value)

    def template(self, door: str) -> dict[str, Any]:
        return _named(self.random.choice(self._templates[door]))  # type: ignore[no-any-return]

    def _addressed(self, door: str, kind: str, value: bytes | None) -> BadRecord:
        home = partition_of(VICTIM, self._partitions)
        away = self.random.randrange(self._partitions)
        # The broker refuses a batch of a compacted topic for one record without a key.
        keys = (b"", b"\xff\xfe", b"x" * 100_000, b"a\nb", *(() if door in (STATUS, EXECUTORS) else (None,)))
        return BadRecord(
            door=door,
            kind=kind,
            key=self.random.choice(keys) if kind == "hostile key" else VICTIM.encode(),
            value=value,
            partition=(home + 1 + away) % self._partitions if kind == "wrong partition" else home,
            is_aborted=kind == "aborted transaction",
        )

    def _invalid_utf8(self, valid: bytes) -> bytes:
        """Inside a string, so that only its bytes are wrong."""
        bad = self.random.choice((b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"))
        return valid.replace(VICTIM.encode(), VICTIM.encode() + bad, 1)

    def _damaged(self, door: str, kind: str) -> bytes:
        """A valid record with one value, at any depth, replaced."""
        record, value = self.template(door), hostile_value(kind, self.random)
        places = list(_places(record))
        if kind == "wrong type" and self.random.random() < 0.1:
            return json.dumps(value).encode()
        holder, name = self.random.choice(places)
        holder[name] = _MARK if isinstance(value, Nested) else value
        text = json.dumps(record)
        return (text.replace(json.dumps(_MARK), value.text(), 1) if isinstance(value, Nested) else text).encode()


RECORD_KINDS = (
    "garbage",
    "cut short",
    "invalid UTF-8",
    "no value",
    "tombstone",
    "wrong partition",
    "aborted transaction",
    "hostile key",
)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each (object or array, name or index) in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in list(items):
        yield value, name
        yield from _places(each)


def _named(value: Any, name: str = "") -> Any:
    """A copy that names the victim, with words that a row may have."""
    if name == "spec" and isinstance(value, str):
        return orjson.dumps(_named(orjson.loads(value))).decode()
    if isinstance(value, str) and name in _WORDS:
        return _WORDS[name]
    if isinstance(value, dict):
        return {key: _named(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_named(each) for each in value]
    if isinstance(value, str) and name in _NAMED:
        return VICTIM
    return f"{VICTIM}#r" if isinstance(value, str) and name in _RUNS_NAMED else value


def _templates() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {door: [] for door in DOORS}
    (file,) = sorted(RELEASED.glob("*/records.jsonl"))[-1:]
    for line in file.read_text().splitlines():
        record = orjson.loads(line)
        door = RUNS if record["topic"].startswith("runs.") else record["topic"]
        if door in found and record["value"]:
            found[door].append(orjson.loads(record["value"]))
    return found
