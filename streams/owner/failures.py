"""Records on which the core fails: a fresh owner tries again, then they are set aside and stop nothing else (I7)."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.errors import TidemillError
from streams.owner.records import InRecord

Place = tuple[str, int]
"""(input topic, offset)"""


class RecordFailedError(TidemillError):
    """The core fails on a record. What it has changed till then is worthless: the owner is to be thrown away."""

    def __init__(self, record: InRecord, error: Exception) -> None:
        self.place: Place = (record.topic, record.offset)
        super().__init__(
            f"record {record.topic}@{record.offset} is set aside: deciding about it failed twice, with "
            f"{type(error).__name__}: {error}"
        )


class Failures:
    """What the holder of a partition remembers from one owner to the next."""

    __slots__ = ("_reasons", "refused")

    def __init__(self) -> None:
        self._reasons: dict[Place, str] = {}
        self.refused: dict[Place, str] = {}
        """Why, of those on which two owners have failed: the next one puts them into the dead letter topic.

        If it fails there as well, the record is innocent and the state is not: then the worker ends.
        """

    def note(self, error: RecordFailedError) -> None:
        if error.place in self._reasons:
            self.refused[error.place] = str(error)
        self._reasons[error.place] = str(error)

    def forget(self, applied: Mapping[str, int]) -> None:
        """What is applied, by topic, never comes again."""
        for place in [each for each in self._reasons if each[1] <= applied[each[0]]]:
            del self._reasons[place]
            self.refused.pop(place, None)
