"""The entries of a `state` partition read so far: the last value of each key. More can be added."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.codec import decode
from schemas.ids import OwnerId
from streams.core.definitions.sharing import Shared
from streams.core.stored import StoredJob
from streams.owner.failures import BlameJob
from streams.owner.transaction_records import JOB_PREFIX

Entry = tuple[int, str, bytes | None]
"""(offset, key, value); None is a tombstone."""
NOTHING_READ = -1


class Replay:
    """Decodes jobs at once, because a decoded job needs less memory than its bytes."""

    def __init__(self) -> None:
        self.through = NOTHING_READ
        """Every entry up to this offset has been taken."""
        self.jobs: dict[OwnerId, StoredJob] = {}
        self.others: dict[str, bytes] = {}
        """The other entries, by key, without tombstones."""
        self.shared = Shared()

    def take(self, entries: Iterable[Entry]) -> None:
        """Raises `JobFailedError` if the entry of a job cannot be decoded."""
        for offset, key, value in entries:
            if key.startswith(JOB_PREFIX):
                self._take_job(OwnerId(key.removeprefix(JOB_PREFIX)), value)
            elif value is None:
                self.others.pop(key, None)
            else:
                self.others[key] = value
            self.through = offset

    def _take_job(self, owner: OwnerId, value: bytes | None) -> None:
        with BlameJob(owner):
            if value is None:
                self.jobs.pop(owner, None)
                return
            stored = self.shared.job(decode(value, StoredJob))
            self.jobs[OwnerId(stored.spec.job_id)] = stored
