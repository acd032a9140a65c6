"""Checks an option's value, so that the error names the option; the database's error would not."""

from __future__ import annotations

import json

from tidemill.target import UsageError


def check_json(option: str, text: str | None) -> None:
    """Raises `UsageError`. The database refuses a value that is too large or too deep."""
    if not text:
        return
    try:
        json.loads(text)
    except RecursionError:
        return
    except ValueError as error:
        hint = f"; write a text as '{json.dumps(text)}'" if text.isalnum() else ""
        raise UsageError(f"{option} {text!r} is not JSON: {error}{hint}") from error
