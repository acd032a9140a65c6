"""What the local stack can say in one sentence when it cannot go on."""

from __future__ import annotations

from schemas.errors import TidemillError


class StackError(TidemillError):
    """The local stack could not do what was asked."""
