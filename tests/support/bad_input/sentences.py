"""Checks the form of a refusal: one short line that says what is wrong with what."""

from __future__ import annotations

import re

MOST_CHARACTERS = 700
"""The longest lists every allowed field."""
_LINE_BREAKING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_RECORD = re.compile(r"^record \S+@\d+ (is refused: )?")
_PLACE = re.compile(
    r"^(\w+ (is|has|names|needs|contains) |is empty$|has \d+ bytes|of .* is in partition |is nested deeper "
    r"|definition |is refused by Postgres: |is not a valid [\w ]+: (Expected|Object missing))"
    r"|the unknown field '|`\$[^`]*`|\(byte \d+\)|in position \d+|Input data was truncated|^column \w+ "
    r"|^nodes: |is refused: |^the DAG |^node "
)
"""A column or field, a path in JSON, a byte; or what the whole record or statement is."""


def problem_with(sentence: str) -> str | None:
    """What is wrong with the form; None: nothing."""
    if len(sentence) > MOST_CHARACTERS:
        return f"it has {len(sentence)} characters"
    if found := _LINE_BREAKING.search(sentence):
        return f"it contains the character U+{ord(found[0]):04X}"
    return None if _PLACE.search(_RECORD.sub("", sentence)) else "it names no field or place"
