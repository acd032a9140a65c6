"""The error of the local stack: its message is one sentence for the user."""

from __future__ import annotations

from schemas.errors import TidemillError


class StackError(TidemillError):
    """The local stack could not do what was asked."""
