"""How long to wait before a retry: the delay doubles with each failure in a row, up to a limit."""

from __future__ import annotations

from datetime import timedelta

import msgspec


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    first: timedelta
    longest: timedelta
    failures: int = 0
    """Failures in a row."""

    @property
    def delay(self) -> timedelta:
        """The wait before the next try; zero without a failure."""
        if not self.failures:
            return timedelta(0)
        doublings = min(self.failures - 1, (self.longest // self.first).bit_length())
        return min(self.first * (1 << doublings), self.longest)

    def failed(self) -> Backoff:
        return msgspec.structs.replace(self, failures=self.failures + 1)

    def succeeded(self) -> Backoff:
        return msgspec.structs.replace(self, failures=0)
