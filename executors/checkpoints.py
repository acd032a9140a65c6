"""Checkpoints: what an attempt that did not succeed left behind goes to S3 for the next one (protocol D6)."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from executors.bundle import MAX_FILE_BYTES, BundleError, pack, unpack
from executors.places import Place
from executors.process import Exited
from executors.removal import remove_tree
from executors.s3 import Address, ObjectError, ObjectStore, UnreachableError, parse_address
from executors.threads import Threads, in_time
from schemas.checkpoints import checkpoint_key
from schemas.dispatch import Dispatch
from schemas.event import EndCause

_TYPE = "application/x-tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What became of a checkpoint."""

    uri: str | None = None
    problem: str | None = None
    """Why it was not kept, or of no use: a sentence for the attempt's reason."""


NOTHING_KEPT = Kept()


class Checkpoints:
    """Used from the event loop; directories and S3 are dealt with in threads."""

    def __init__(self, store: ObjectStore, bucket: str, *, keep_timeout: timedelta, fetch_timeout: timedelta) -> None:
        self._store, self._bucket = store, bucket
        self._keep_timeout, self._fetch_timeout = keep_timeout, fetch_timeout
        self._threads = Threads("checkpoints")

    async def keep(self, dispatch: Dispatch, place: Place, before: Kept) -> Kept:
        """What was wrong `before` is still to be said."""
        address = Address(bucket=self._bucket, key=checkpoint_key(dispatch.run_id, dispatch.token))
        until, bundle = time.monotonic() + self._keep_timeout.total_seconds(), place.new_bundle()
        try:
            async with asyncio.timeout(self._keep_timeout.total_seconds()):
                await self._threads.run(partial(pack, place.checkpoint, bundle))
                await self._threads.run(partial(self._store.put_file, address, bundle, _TYPE), until)
        except TimeoutError:
            return not_kept(before, f"S3 did not take it within {self._keep_timeout}")
        except (BundleError, ObjectError, UnreachableError) as error:
            return not_kept(before, str(error))
        return replace(before, uri=str(address))

    async def restore(self, uri: str, place: Place) -> Kept:
        """If it is of no use, the attempt begins with nothing, and says so at its end.

        Raises `UnreachableError`: asking again later helps, and nothing is lost till then.
        """
        until, bundle = time.monotonic() + self._fetch_timeout.total_seconds(), place.new_bundle()
        try:
            address = parse_address(uri)
            get = partial(self._store.download, address, bundle, max_bytes=MAX_FILE_BYTES, until=until)
            async with in_time(self._fetch_timeout, uri):
                await self._threads.run(get, until)
            await self._threads.run(partial(unpack, bundle, place.checkpoint))
        except (BundleError, ObjectError) as error:
            await self._threads.run(partial(_empty, place))
            return Kept(problem=f"it began without the checkpoint before it: {error}")
        finally:
            bundle.unlink(missing_ok=True)
        return NOTHING_KEPT

    def close(self) -> None:
        self._threads.close()


def is_left(exited: Exited | None, place: Place | None, came_with: str | None) -> bool:
    """After success, or a kill by its owner, nobody goes on. What came with a checkpoint may have emptied it."""
    if place is None or exited is None or exited.cause is EndCause.CANCELLED:
        return False
    if exited.cause is EndCause.EXITED and exited.code == 0:
        return False
    return came_with is not None or place.has_checkpoint


def not_kept(before: Kept, reason: str) -> Kept:
    problem = f"its checkpoint was not kept: {reason}"
    return Kept(problem=f"{before.problem}; {problem}" if before.problem else problem)


def _empty(place: Place) -> None:
    remove_tree(place.checkpoint)
    with suppress(FileExistsError):
        place.checkpoint.mkdir()
