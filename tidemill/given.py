"""Checks of what a command was given that the database would refuse without its name."""

from __future__ import annotations

import json

from tidemill.place import UsageError


def check_json(option: str, text: str | None) -> None:
    """Raises `UsageError`. What of it is too large or too deep, the database says."""
    if not text:
        return
    try:
        json.loads(text)
    except RecursionError:
        return
    except ValueError as error:
        hint = f"; as a text it is written '{json.dumps(text)}'" if text.isalnum() else ""
        raise UsageError(f"{option} {text!r} is no JSON: {error}{hint}") from error
