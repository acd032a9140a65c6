"""Sends bad input to a running stack, and says what was refused where, with which sentences."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from confluent_kafka import KafkaException, Producer

from schemas.topics import runs_topic
from tests.support.bad_input.records import RUNS, BadRecord
from tests.support.bad_input.rows import BadRow
from tests.support.stack_client import StackClient

SEND_SECONDS = 60
UNDECODABLE = frozenset({"garbage", "cut short", "invalid UTF-8", "no value"})
"""Kinds of records that no reader accepts."""
OURS = "23514"
"""check_violation: the sentence is Tidemill's. Other refusals are those of Postgres' types and keys."""
_LOGGED = re.compile(
    r'event=(?:heartbeat_refused|"dispatch unreadable").* topic=(\S+) partition=(\d+) offset=(\d+) '
    r'reason="((?:[^"\\]|\\.)*)"'
)
_VALUES = re.compile(r'"[^"]*"|\'[^\']*\'|`[^`]*`|\d+|“[^”]*”')


@dataclass
class Told:
    """What became of the inputs of one (door, kind)."""

    sent: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By place."""
    sentences: set[str] = field(default_factory=set)
    """With their values left out."""


class Sender:
    def __init__(self, stack: StackClient) -> None:
        self._stack = stack
        self._classes = stack.connections.timeout_classes.split(",")
        self._kinds: dict[tuple[str, int, int], tuple[str, str]] = {}
        """(topic, partition, offset) -> (door, kind)."""
        self.told: dict[tuple[str, str], Told] = defaultdict(Told)
        self.sentences: list[tuple[str, str, str]] = []
        """(door, kind, sentence) of each refusal by Tidemill."""

    def records(self, records: Iterable[BadRecord]) -> None:
        plain = Producer(self._stack.connections.kafka(message_max_bytes=16 * 1024 * 1024))
        aborting = Producer(self._stack.connections.kafka(transactional_id="bad-input"))
        aborting.init_transactions(SEND_SECONDS)
        aborting.begin_transaction()
        for number, each in enumerate(records):
            self._produce(aborting if each.is_aborted else plain, each, number)
        assert plain.flush(SEND_SECONDS) == 0
        assert aborting.flush(SEND_SECONDS) == 0
        aborting.abort_transaction(SEND_SECONDS)

    def _produce(self, producer: Producer, record: BadRecord, number: int) -> None:
        told = self.told[record.door, record.kind]
        told.sent += 1
        name = runs_topic(self._classes[number % len(self._classes)]) if record.door == RUNS else record.door

        def on_delivery(error: Any, message: Any) -> None:
            if error is not None:
                self._refused(record.door, record.kind, "the broker", str(error))
            else:
                self._kinds[name, message.partition(), message.offset()] = record.door, record.kind

        try:
            producer.produce(
                self._stack.connections.topic(name),
                record.value,
                record.key,
                record.partition,
                on_delivery=on_delivery,
            )
        except (BufferError, KafkaException) as error:
            self._refused(record.door, record.kind, "the producer's client", str(error))
        producer.poll(0)

    def rows(self, rows: Iterable[BadRow]) -> None:
        connection = self._stack.database
        for each in rows:
            self.told[each.door, each.kind].sent += 1
            try:
                with connection.transaction(force_rollback=each.is_aborted):
                    connection.execute(each.statement, each.values)
            except (psycopg.Error, UnicodeError) as error:
                self._refused_row(each, error)

    def _refused_row(self, row: BadRow, error: Exception) -> None:
        state = getattr(error, "sqlstate", None)
        if not isinstance(error, psycopg.Error) or state is None:
            self._refused(row.door, row.kind, "the client", "")
        elif state == OURS:
            sentence = error.diag.message_primary or ""
            self._refused(row.door, row.kind, "the table's checks", sentence)
            self.sentences.append((row.door, row.kind, sentence))
        else:
            self._refused(row.door, row.kind, "Postgres", error.diag.message_primary or "")

    def note_problems(self) -> None:
        """Read what owners and sink refused."""
        rows = self._stack.rows(
            "select source_topic, source_partition, source_offset, reason from problems where source_offset is not null"
        )
        for row in rows:
            where = row["source_topic"], row["source_partition"], row["source_offset"]
            self._note(where, "the owner or the sink", row["reason"])

    def _note(self, where: tuple[str, int, int], place: str, sentence: str) -> None:
        topic, *position = where
        known = self._kinds.pop((topic.removeprefix(self._stack.connections.topic_prefix), *position), None)
        if known:
            self._refused(*known, place, sentence)
            self.sentences.append((*known, sentence))

    def all_refused_are_known(self) -> bool:
        """Whether there is a problem, or a line in a log, for each record that no reader of its topic can decode."""
        self.note_problems()
        self.note_logs()
        return not any(kind in UNDECODABLE for _, kind in self._kinds.values())

    def note_logs(self) -> None:
        """Read what workers refused in `executors`, and executors in `runs.*`."""
        logs = self._stack.data / "logs"
        for file in (*logs.glob("stream-*.log"), *logs.glob("executor-*.log")):
            for topic, partition, offset, reason in _LOGGED.findall(file.read_text(errors="replace")):
                self._note((topic, int(partition), int(offset)), "the log of its reader", reason.replace('\\"', '"'))

    def _refused(self, door: str, kind: str, where: str, sentence: str) -> None:
        told = self.told[door, kind]
        told.refused[where] += 1
        told.sentences.add(_VALUES.sub("…", sentence)[:200])

    def table(self) -> str:
        lines = [f"{'into':<10} {'kind':<24} {'sent':>6} {'refused':>8} {'sentences':>10}  where"]
        for (door, kind), told in sorted(self.told.items()):
            where = ", ".join(f"{place} {count}" for place, count in told.refused.most_common())
            total = sum(told.refused.values())
            lines.append(f"{door:<10} {kind:<24} {told.sent:>6} {total:>8} {len(told.sentences):>10}  {where}")
        return "\n".join(lines)
