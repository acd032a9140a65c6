"""Records on which an owner fails: a fresh one tries again, then it sets them aside (protocol I7)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from schemas.errors import TidemillError
from schemas.ids import OwnerId
from streams.owner.records import InRecord

Place = tuple[str, int]
"""(input topic, offset)"""
MOST_JOBS_AT_ONCE = 10
"""Where more jobs fail before any of that is written, the fault is not in the jobs."""


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


class JobFailedError(TidemillError):
    """The core fails in the work of one job or DAG. The owner that says so is to be thrown away."""

    def __init__(self, owner: str, error: Exception, version: int = 0) -> None:
        """`version`: of its definition, which may not be stored yet."""
        self.owner, self.version = OwnerId(owner), version
        super().__init__(
            f"{owner!r} is quarantined: the core fails in its work, with {type(error).__name__}: {error}; its runs are "
            "left as they are; any change of its definition lets it be tried again"
        )


class BlameJob:
    """Any failure within is in the work of `owner`. A class, because recovery enters one for each key."""

    __slots__ = ("_owner",)

    def __init__(self, owner: str | None) -> None:
        self._owner = owner

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, where: object) -> None:
        if isinstance(error, Exception) and self._owner is not None:
            raise JobFailedError(self._owner, error) from error


class RetryQuarantinedError(TidemillError):
    """The definition of a quarantined job has changed: the next owner tries it again."""


def blame(records: Collection[InRecord], error: Exception) -> Exception:
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

    __slots__ = ("_reasons", "jobs", "refused", "suspects")

    def __init__(self) -> None:
        self._reasons: dict[Place, str] = {}
        self.suspects: set[Place] = set()
        """Each of these has a transaction of its own: one of them, unknown which, could not be written."""
        self.refused: dict[Place, str] = {}
        """Why, of those on which two owners have failed: the next one puts them into the dead letter topic.

        If it fails there as well, the record is innocent and the state is not: then the worker ends.
        """
        self.jobs: dict[OwnerId, JobFailedError] = {}
        """Why, of those that the next owner quarantines, and has not written yet."""

    def note(self, error: RecordFailedError | TransactionFailedError | JobFailedError) -> None:
        """Raises `error` where it is not about one job, or record, alone: then the worker ends."""
        if isinstance(error, JobFailedError):
            if error.owner in self.jobs or len(self.jobs) >= MOST_JOBS_AT_ONCE:
                raise error
            self.jobs[error.owner] = error
            return
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
