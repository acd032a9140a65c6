"""Measures owners while they decide: the work, bytes and effects of each transaction, by a count of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from unittest import mock

from streams.core.room import BYTES_A_MICROSECOND, MICROSECONDS_OF_A_RECORD, MICROSECONDS_OF_A_SEARCH, Bounds
from streams.owner.owner import Owner
from streams.owner.records import InRecord, Transaction

LAST_ITEM = Bounds(effects=60, work_us=600, bytes=4_000)
"""By how much a transaction may exceed its bounds: each is checked before an item, and the last item may be large."""


@dataclass(slots=True, kw_only=True)
class Spent:
    """Since the last transaction of an owner; `work_us` since its last `prepare`."""

    effects: int = 0
    bytes: int = 0
    work_us: int = 0


class Gauge:
    """`above` names each transaction that was above its room (protocol O6)."""

    def __init__(self) -> None:
        self.above: list[str] = []
        self._spent: dict[int, Spent] = {}
        self._now: Spent | None = None
        """Of the owner that decides now."""

    @contextmanager
    def measuring(self) -> Iterator[None]:
        prepare, step_record = Owner.prepare, Owner._step_record

        def measured(owner: Owner, now: datetime, **more: Any) -> Transaction | None:
            self._now = spent = self._spent.setdefault(id(owner.state), Spent())
            spent.work_us = 0
            found = prepare(owner, now, **more)
            self._judge(owner, spent, found)
            return found

        def counted(owner: Owner, record: InRecord, now: datetime) -> Any:
            is_new = record.offset > owner.state.durable.applied[record.topic].offset
            if is_new and self._now is not None:
                size = len(record.value or b"")
                self._now.bytes += size
                self._now.work_us += MICROSECONDS_OF_A_RECORD + size // BYTES_A_MICROSECOND
            return step_record(owner, record, now)

        with mock.patch.object(Owner, "prepare", measured), mock.patch.object(Owner, "_step_record", counted):
            yield

    def note_decision(self) -> None:
        """The core decides one occurrence."""
        if self._now is not None:
            self._now.work_us += MICROSECONDS_OF_A_SEARCH

    def _judge(self, owner: Owner, spent: Spent, found: Transaction | None) -> None:
        bounds, where = owner.state.settings.bounds, f"partition {owner.state.partition}"
        most = 2 * bounds.effects + LAST_ITEM.effects  # a run is two records
        if spent.work_us > bounds.work_us + LAST_ITEM.work_us:
            self.above.append(f"a step of {where} has {spent.work_us} us of work, at most {bounds.work_us} are allowed")
        if found is None:
            return
        if spent.bytes > bounds.bytes + LAST_ITEM.bytes:
            self.above.append(f"a transaction of {where} reads {spent.bytes} bytes, at most {bounds.bytes} are allowed")
        if len(found.records) > most:
            self.above.append(f"a transaction of {where} has {len(found.records)} records, at most {most} are allowed")
        self._spent[id(owner.state)] = Spent()
