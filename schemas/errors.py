"""The one exception base of Tidemill; the docstring of an exception is its message."""

from __future__ import annotations

import re

MOST_CHARACTERS = 500
"""The longest sentence about a record."""
MOST_SHOWN = 80
"""The longest value in a sentence."""
_FIRST, _LAST = 320, 140
"""How much of a longer sentence remains: its start, and its end, which names the place."""
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What breaks a line, moves a cursor or turns the direction of text. `tidemill.quoted` has the same list."""


def one_line(text: str) -> str:
    """The text with `\ufffd` for each control character."""
    return _BREAKS.sub("\ufffd", text)


def shown(value: object) -> str:
    """A value of a record in a sentence, shortened."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}... ({len(text)} characters)"


class TidemillError(Exception):
    """An error that Tidemill explains in one sentence."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class UndecodableError(TidemillError):
    """A record could not be decoded."""

    def __init__(self, message: str | None = None) -> None:
        """Values of the record in `message` may have any length, and any character."""
        if message and len(message) > MOST_CHARACTERS:
            message = f"{message[:_FIRST]} ... ({len(message)} characters) ... {message[-_LAST:]}"
        super().__init__(message and one_line(message))
