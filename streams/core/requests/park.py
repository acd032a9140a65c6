"""Number and size of the parked requests, which are held in memory and read at each recovery."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.codec import encode
from schemas.ids import RunId
from schemas.request import Request
from streams.core.settings import CoreSettings


@dataclass(slots=True, kw_only=True)
class Park:
    bytes_taken: int = 0
    _sizes: dict[RunId, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._sizes)

    def enter(self, key: RunId, request: Request) -> None:
        size = self._sizes[key] = len(encode(request))
        self.bytes_taken += size

    def leave(self, key: RunId) -> None:
        self.bytes_taken -= self._sizes.pop(key)

    def park_refusal(self, request: Request, settings: CoreSettings) -> str | None:
        """Why `request` cannot be parked, as a sentence; None: it can."""
        if len(self) >= settings.max_parked:
            return f"{len(self)} requests wait for their definitions already; at most {settings.max_parked} may"
        size = len(encode(request))
        if self.bytes_taken + size > settings.max_parked_bytes:
            return (
                f"the requests that wait for their definitions have {self.bytes_taken} bytes, it has {size}; "
                f"at most {settings.max_parked_bytes} may wait"
            )
        return None
