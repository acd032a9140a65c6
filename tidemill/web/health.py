"""The health of each part in one line. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from tidemill.lag import SINK
from tidemill.web.parts import Parts
from tidemill.web.pieces import brief

OLD = timedelta(seconds=10)
"""A record that waits longer makes its reader late."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    part: str
    state: Literal["ok", "warn", "bad", "unknown"]
    sentence: str


def lines(parts: Parts | None, now: datetime) -> list[Line]:
    """The parts in the order in which a run passes them."""
    if parts is None:
        return [Line(part="All parts", state="unknown", sentence="They are being looked at.")]
    return [_connector(parts), *_readers(parts, now), _workers(parts), _executors(parts)]


def _connector(parts: Parts) -> Line:
    if parts.connector == "RUNNING":
        return Line(part="Connector", state="ok", sentence="It captures each change of the tables.")
    sentence = f"It is {parts.connector}: changes of jobs and requests wait in Postgres."
    return Line(part="Connector", state="bad", sentence=sentence)


def _readers(parts: Parts, now: datetime) -> Iterator[Line]:
    if parts.waiting is None:
        why = parts.problems[0] if parts.problems else "Kafka does not answer"
        yield Line(part="Kafka", state="bad", sentence=f"{why}.")
        return
    yield Line(part="Kafka", state="ok", sentence="It answers.")
    sink = parts.waiting.get(SINK)
    if sink is None:
        return
    late = now - sink.since if sink.since else timedelta(0)
    if late > OLD:
        sentence = f"{sink.records:,} records wait, the oldest for {brief(late)}: this page shows the past."
        yield Line(part="Sink", state="warn", sentence=sentence)
        return
    yield Line(part="Sink", state="ok", sentence="The read model has what has happened.")


def _workers(parts: Parts) -> Line:
    if parts.workers is None:
        return Line(part="Stream workers", state="unknown", sentence="Kafka does not say which there are.")
    names = sorted(set(parts.workers.held.values()))
    if not names:
        return Line(part="Stream workers", state="bad", sentence="None holds a partition: nothing becomes due.")
    noun = "worker holds" if len(names) == 1 else "workers hold"
    return Line(
        part="Stream workers",
        state="ok" if parts.workers.state == "stable" else "warn",
        sentence=f"{len(names)} {noun} {len(parts.workers.held)} partitions; their group is {parts.workers.state}.",
    )


def _executors(parts: Parts) -> Line:
    if parts.executors is None:
        return Line(part="Executors", state="unknown", sentence="Kafka does not say which there are.")
    running = [each for each in parts.executors if each["state"] not in ("silent", "ill")]
    named = {
        word: [each["name"] for each in parts.executors if each["state"] == word.lower()] for word in ("Silent", "Ill")
    }
    away = "".join(f" {word}: {', '.join(names)}." for word, names in named.items() if names)
    if not running:
        return Line(part="Executors", state="bad", sentence=f"None can work: nothing runs.{away}")
    free, slots = (sum(each[name] for each in running) for name in ("free", "slots"))
    noun = "executor has" if len(running) == 1 else "executors have"
    sentence = f"{len(running)} {noun} {free:,} of {slots:,} slots free."
    if away:
        return Line(part="Executors", state="warn", sentence=sentence + away)
    return Line(part="Executors", state="ok" if free else "warn", sentence=sentence)
