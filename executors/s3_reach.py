"""Looks whether S3 answers this executor, and whether others are better off."""

from __future__ import annotations

import time
from collections.abc import Callable

from executors.s3 import ObjectStore

_AGAIN_SECONDS = 0.5
"""One lost request is no illness."""
_ASK_OTHERS_SECONDS = 5.0


class S3Reach:
    """`look` blocks: call it in a thread, one call at a time."""

    def __init__(self, store: ObjectStore, bucket: str, others_are_well: Callable[[], bool]) -> None:
        self._store, self._bucket, self._others_are_well = store, bucket, others_are_well
        self._ask_at = 0.0
        self.has_elsewhere = False
        """Runs that need S3 have another executor to go to. Without one, programs in the cache still run here."""

    def look(self) -> str | None:
        """Why S3 is out of reach; None: it is not, as far as the last request tells."""
        reason = self._store.probe(self._bucket)
        if reason is not None:
            time.sleep(_AGAIN_SECONDS)
            reason = self._store.probe(self._bucket)
        if reason is None:
            self.has_elsewhere, self._ask_at = False, 0.0
        elif time.monotonic() >= self._ask_at:
            self.has_elsewhere = self._others_are_well()
            self._ask_at = time.monotonic() + _ASK_OTHERS_SECONDS
        return reason
