"""Failures of an owner: the next owner retries the record, and sets it aside if it fails again (protocol I7)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from schemas.errors import TidemillError
from schemas.ids import OwnerId
from streams.owner.records import InRecord

RecordPosition = tuple[str, int]
"""(input topic, offset)"""
MOST_JOBS_AT_ONCE = 10
"""If more jobs fail before their quarantine is written, the jobs are not the cause."""


class RecordFailedError(TidemillError):
    """A record cannot be decided, or its effects cannot be written. Discard the owner that raises this."""

    def __init__(self, record: InRecord, error: Exception) -> None:
        self.position: RecordPosition = (record.topic, record.offset)
        super().__init__(
            f"record {record.topic}@{record.offset} is set aside: it failed twice, with {type(error).__name__}: {error}"
        )


class TransactionFailedError(TidemillError):
    """The effects of one of several records cannot be written. Discard the owner that raises this."""

    def __init__(self, records: Collection[InRecord], error: Exception) -> None:
        self.positions: tuple[RecordPosition, ...] = tuple((each.topic, each.offset) for each in records)
        super().__init__(
            f"a transaction of {len(records)} records cannot be written: {type(error).__name__}: {error}; "
            "they are taken one by one"
        )


class JobFailedError(TidemillError):
    """The core fails in the work of one job or DAG. Discard the owner that raises this."""

    def __init__(self, owner: str, error: Exception, version: int = 0) -> None:
        """`version`: the version of its definition, which may not be stored yet."""
        self.owner, self.version = OwnerId(owner), version
        super().__init__(
            f"{owner!r} is quarantined: the core fails in its work, with {type(error).__name__}: {error}; its runs are "
            "left as they are; any change of its definition lets it be tried again"
        )


class BlameJob:
    """Turns an exception in its block into `JobFailedError`. A class for speed: recovery uses one per key."""

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
    """The exception to raise if the transaction of these records cannot be written; with no records, `error` itself."""
    match list(records):
        case []:
            return error
        case [record]:
            return RecordFailedError(record, error)
        case _:
            return TransactionFailedError(records, error)


class Failures:
    """What a session remembers from one owner to the next."""

    __slots__ = ("_reasons", "jobs", "refused", "suspects")

    def __init__(self) -> None:
        self._reasons: dict[RecordPosition, str] = {}
        self.suspects: set[RecordPosition] = set()
        """One of these could not be written, unknown which; so each gets its own transaction."""
        self.refused: dict[RecordPosition, str] = {}
        """The reasons of records that failed for two owners: the next one writes them to the dead letter topic.

        If that fails too, the cause is the state and not the record: then the worker ends.
        """
        self.jobs: dict[OwnerId, JobFailedError] = {}
        """The errors of the jobs that the next owner quarantines, until that is written."""

    def note(self, error: RecordFailedError | TransactionFailedError | JobFailedError) -> None:
        """Raises `error` if the cause is not a single job or record: then the worker ends."""
        if isinstance(error, JobFailedError):
            if error.owner in self.jobs or len(self.jobs) >= MOST_JOBS_AT_ONCE:
                raise error
            self.jobs[error.owner] = error
            return
        if isinstance(error, TransactionFailedError):
            self.suspects.update(error.positions)
            return
        if error.position in self._reasons:
            self.refused[error.position] = str(error)
        self._reasons[error.position] = str(error)

    def forget(self, applied: Mapping[str, int]) -> None:
        """Drop what is applied, by topic: an owner never reads it again."""
        self._reasons = _after(self._reasons, applied)
        self.refused = _after(self.refused, applied)
        self.suspects = {(topic, offset) for topic, offset in self.suspects if offset > applied[topic]}


def _after(reasons: Mapping[RecordPosition, str], applied: Mapping[str, int]) -> dict[RecordPosition, str]:
    return {position: reason for position, reason in reasons.items() if position[1] > applied[position[0]]}
