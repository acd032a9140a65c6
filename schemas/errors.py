"""The one exception base of Tidemill; the docstring of an exception is its message."""

from __future__ import annotations


class TidemillError(Exception):
    """An error that Tidemill explains in one sentence."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class UndecodableError(TidemillError):
    """A record could not be decoded."""
