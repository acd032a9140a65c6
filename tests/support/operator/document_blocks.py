"""The fenced blocks of a document that a test carries out: what stands behind the language says where they belong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

DOCS = Path(__file__).parents[3] / "docs"
_BLOCK = re.compile(r"^```(?P<language>\w+) (?P<place>\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(msgspec.Struct, frozen=True, kw_only=True):
    language: str
    place: str
    """Who does it (`superuser`), or the file in which it stands."""
    text: str


def blocks(document: str, names: Mapping[str, str]) -> list[Block]:
    """In order; `names` are written in the place of the examples that the document uses."""
    text = (DOCS / document).read_text()
    found = (match.groupdict() for match in _BLOCK.finditer(text))
    return [Block(**{field: _named(value, names) for field, value in each.items()}) for each in found]


def _named(text: str, names: Mapping[str, str]) -> str:
    for example, name in names.items():
        text = text.replace(example, name)
    return text
