"""Records on which an owner fails: a fresh one tries again, then they are set aside and stop nothing else (I7)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from schemas.errors import TidemillError
from streams.owner.records import InRecord

Place = tuple[str, int]
"""(input topic, offset)"""


class RecordFailedError(TidemillError):
    """Nothing can be decided, or written, about a record. The owner that says so is to be thrown away."""

    def __init__(self, record: InRecord, error: Exception) -> None:
        self.place: Place = (record.topic, record.offset)
        super().__init__(
            f"record {record.topic}@{record.offset} is set aside: it failed twice, with {type(error).__name__}: {error}"
        )


class TransactionFailedError(TidemillError):
    """What follows from one of several records cannot be written. The owner that says so is to be thrown away."""

    def __init__(self, records: Collection[InRecord], error: Exception) -> None:
        self.places: tuple[Place, ...] = tuple((each.topic, each.offset) for each in records)
        super().__init__(
            f"a transaction of {len(records)} records cannot be written: {type(error).__name__}: {error}; "
            "they are taken one by one"
        )


def blamed(records: Collection[InRecord], error: Exception) -> Exception:
    """What to raise when a transaction cannot be written that follows from these records; of none: from the state."""
    match list(records):
        case []:
            return error
        case [record]:
            return RecordFailedError(record, error)
        case _:
            return TransactionFailedError(records, error)


class Failures:
    """What the holder of a partition remembers from one owner to the next."""

    __slots__ = ("_reasons", "refused", "suspects")

    def __init__(self) -> None:
        self._reasons: dict[Place, str] = {}
        self.suspects: set[Place] = set()
        """Each of these has a transaction of its own: one of them, unknown which, could not be written."""
        self.refused: dict[Place, str] = {}
        """Why, of those on which two owners have failed: the next one puts them into the dead letter topic.

        If it fails there as well, the record is innocent and the state is not: then the worker ends.
        """

    def note(self, error: RecordFailedError | TransactionFailedError) -> None:
        if isinstance(error, TransactionFailedError):
            self.suspects.update(error.places)
            return
        if error.place in self._reasons:
            self.refused[error.place] = str(error)
        self._reasons[error.place] = str(error)

    def forget(self, applied: Mapping[str, int]) -> None:
        """What is applied, by topic, never comes again."""
        self._reasons = _behind(self._reasons, applied)
        self.refused = _behind(self.refused, applied)
        self.suspects = {(topic, offset) for topic, offset in self.suspects if offset > applied[topic]}


def _behind(reasons: Mapping[Place, str], applied: Mapping[str, int]) -> dict[Place, str]:
    return {place: reason for place, reason in reasons.items() if place[1] > applied[place[0]]}
