"""Makes aiokafka skip a batch that it cannot read and deliver a mark, instead of an error that ends the worker.

The owner then reads the gap with another client (streams/owner_log.py), and sets aside what that client cannot read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.structs import ConsumerRecord

from streams.bounded_decoders import bound_decoders

SKIPPED = "skipped"
"""The header of the mark. Its value is no bytes, so that no producer can write it."""
_MARK = object()
_MAX_BATCH_RECORDS = 16 * 1024 * 1024
"""A batch that claims more records has a broken header: then only its first offset is skipped."""


def is_skip_mark(headers: Any) -> bool:
    return any(value is _MARK for _, value in headers or ())


def skip_unreadable_batches() -> None:
    """Patch aiokafka, which has no hook for this, for all its consumers in this process."""
    fetcher.PartitionRecords = SkippingRecords
    bound_decoders()


class _Batches:
    """The client's batches; remembers the last one."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.last: Any = None

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> Any:
        self.last = None
        self.last = self._records.next_batch()
        return self.last


class SkippingRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # untyped
    next_fetch_offset: int

    def __init__(self, tp: Any, records: Any, *more: Any) -> None:
        super().__init__(tp, _Batches(records), *more)

    def _unpack_records(self) -> Iterator[Any]:
        while True:
            try:
                yield from super()._unpack_records()
            except Exception:  # noqa: BLE001 - any codec and the parser may raise
                yield self._skip()
                if self._records.last is None:
                    return  # the batch's end is unknown: the next fetch starts one offset later
            else:
                return

    def _skip(self) -> ConsumerRecord[Any, Any]:
        """Skip the batch. Returns the mark, which has the last offset of the batch."""
        first = self.next_fetch_offset
        end = _end_of(self._records.last)
        self.next_fetch_offset = end if first < end <= first + _MAX_BATCH_RECORDS else first + 1
        place = self._tp.topic, self._tp.partition, self.next_fetch_offset - 1
        return ConsumerRecord(*place, 0, 0, None, None, None, -1, -1, ((SKIPPED, _MARK),))


def _end_of(batch: Any) -> int:
    try:
        return int(batch.next_offset)
    except Exception:  # noqa: BLE001 - in an old format it decodes the whole batch
        return -1
