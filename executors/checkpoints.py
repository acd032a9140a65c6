"""Checkpoints: stores what an attempt that did not succeed left in S3, and restores it for the next (protocol D6)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from executors.attempt_dirs import AttemptDir
from executors.bundle import MAX_FILE_BYTES, BundleError, pack, unpack
from executors.s3 import Address, ObjectError, ObjectStore, UnreachableError, parse_address
from executors.supervisor_link import Exited
from executors.threads import Threads, in_time
from schemas.checkpoints import checkpoint_key
from schemas.dispatch import Dispatch
from schemas.event import EndCause

_TYPE = "application/x-tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointOutcome:
    """Whether a checkpoint was stored or restored."""

    uri: str | None = None
    problem: str | None = None
    """Why it was not stored, or not restored: a sentence for the attempt's reason."""


NO_CHECKPOINT = CheckpointOutcome()


class Checkpoints:
    """Used from the event loop; threads access directories and S3."""

    def __init__(self, store: ObjectStore, bucket: str, *, keep_timeout: timedelta, fetch_timeout: timedelta) -> None:
        self._store, self._bucket = store, bucket
        self._keep_timeout, self._fetch_timeout = keep_timeout, fetch_timeout
        self._threads = Threads("checkpoints")

    async def store(self, dispatch: Dispatch, directory: AttemptDir, before: CheckpointOutcome) -> CheckpointOutcome:
        """Keep the problem of `before`, which is the outcome of the restore, in the result."""
        address = Address(bucket=self._bucket, key=checkpoint_key(dispatch.run_id, dispatch.token))
        until = time.monotonic() + self._keep_timeout.total_seconds()
        try:
            async with asyncio.timeout(self._keep_timeout.total_seconds()):
                with await self._threads.run(partial(_packed, directory)) as bundle:
                    await self._threads.run(partial(self._store.put_file, address, bundle, _TYPE), until)
        except TimeoutError:
            return checkpoint_not_stored(before, f"S3 did not take it within {self._keep_timeout}")
        except (BundleError, ObjectError, UnreachableError) as error:
            return checkpoint_not_stored(before, str(error))
        return replace(before, uri=str(address))

    async def restore(self, uri: str, directory: AttemptDir) -> CheckpointOutcome:
        """If the checkpoint cannot be used, the attempt starts without one; its end event says so.

        Raises `UnreachableError`: a later retry may restore the checkpoint.
        """
        until, bundle = time.monotonic() + self._fetch_timeout.total_seconds(), directory.new_bundle()
        try:
            address = parse_address(uri)
            get = partial(self._store.download, address, bundle, max_bytes=MAX_FILE_BYTES, until=until)
            async with in_time(self._fetch_timeout, uri):
                await self._threads.run(get, until)
            await self._threads.run(partial(_unpacked, bundle, directory))
        except (BundleError, ObjectError) as error:
            return CheckpointOutcome(problem=f"it started without the previous checkpoint: {error}")
        finally:
            bundle.unlink(missing_ok=True)
        return NO_CHECKPOINT

    def close(self) -> None:
        self._threads.close()


def leaves_checkpoint(exited: Exited | None, directory: AttemptDir | None, previous: str | None) -> bool:
    """False after success or a kill by the owner: no attempt follows.

    An attempt that started from a checkpoint may have emptied it: that counts as a checkpoint, too.
    """
    if directory is None or exited is None or exited.cause is EndCause.CANCELLED:
        return False
    if exited.cause is EndCause.EXITED and exited.code == 0:
        return False
    return previous is not None or directory.has_checkpoint


def checkpoint_not_stored(before: CheckpointOutcome, reason: str) -> CheckpointOutcome:
    problem = f"its checkpoint was not kept: {reason}"
    return CheckpointOutcome(problem=f"{before.problem}; {problem}" if before.problem else problem)


def _packed(directory: AttemptDir) -> IO[bytes]:
    """A file without a name: a process that outlives its attempt cannot change it. Raises `BundleError`."""
    bundle = TemporaryFile(dir=directory.path.parent)  # noqa: SIM115 - the caller closes it
    try:
        pack(directory.checkpoint, bundle, directory.owner)
    except BundleError:
        bundle.close()
        raise
    return bundle


def _unpacked(bundle: Path, directory: AttemptDir) -> None:
    """Raises `BundleError`, and leaves the checkpoint empty then."""
    try:
        unpack(bundle, directory.checkpoint, directory.user.id if directory.user else None)
    except BundleError:
        directory.empty_checkpoint()
        raise
