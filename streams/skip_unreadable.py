"""Makes aiokafka skip a batch that it cannot read and deliver a mark, instead of an error that ends the worker.

The owner then reads the gap with another client (streams/owner_log.py), and sets aside what that client cannot read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.structs import ConsumerRecord

from streams.bounded_decoders import bound_decoders

SKIPPED = "passed by"
"""The header of what stands for a batch. Its value is none of a record's, which are bytes: nobody can write it."""
_MARK = object()
_MOST_IN_A_BATCH = 16 * 1024 * 1024
"""A batch that says that it has more has a broken header: then only its first offset is passed by."""


def is_skip_mark(headers: Any) -> bool:
    return any(value is _MARK for _, value in headers or ())


def skip_unreadable_batches() -> None:
    """From here on, for all consumers of aiokafka in this process. It offers no other place for it."""
    fetcher.PartitionRecords = SkippingRecords
    bound_decoders()


class _Batches:
    """A client's batches, and the one that it took last."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.last: Any = None

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> Any:
        self.last = None
        self.last = self._records.next_batch()
        return self.last


class SkippingRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # it has no types
    next_fetch_offset: int

    def __init__(self, tp: Any, records: Any, *more: Any) -> None:
        super().__init__(tp, _Batches(records), *more)

    def _unpack_records(self) -> Iterator[Any]:
        while True:
            try:
                yield from super()._unpack_records()
            except Exception:  # noqa: BLE001 - of any codec, and of the parser: there is no list of them
                yield self._passed_by()
                if self._records.last is None:
                    return  # not even where it ends is known: the next fetch begins one offset further
            else:
                return

    def _passed_by(self) -> ConsumerRecord[Any, Any]:
        """Stands at the last offset of the batch."""
        first = self.next_fetch_offset
        behind = _end_of(self._records.last)
        self.next_fetch_offset = behind if first < behind <= first + _MOST_IN_A_BATCH else first + 1
        place = self._tp.topic, self._tp.partition, self.next_fetch_offset - 1
        return ConsumerRecord(*place, 0, 0, None, None, None, -1, -1, ((SKIPPED, _MARK),))


def _end_of(batch: Any) -> int:
    try:
        return int(batch.next_offset)
    except Exception:  # noqa: BLE001 - an old format is asked by reading all of it
        return -1
