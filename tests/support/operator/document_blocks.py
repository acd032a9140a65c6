"""The fenced blocks of a document that a test executes; the word after the language is a block's target."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

DOCS = Path(__file__).parents[3] / "docs"
_BLOCK = re.compile(r"^```(?P<language>\w+) (?P<target>\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(msgspec.Struct, frozen=True, kw_only=True):
    language: str
    target: str
    """Who runs the block (`superuser`), or the path of the file with this text."""
    text: str


def blocks(document: str, names: Mapping[str, str]) -> list[Block]:
    """The blocks in order; `names` maps examples in the document to their values here."""
    text = (DOCS / document).read_text()
    found = (match.groupdict() for match in _BLOCK.finditer(text))
    return [Block(**{field: _named(value, names) for field, value in each.items()}) for each in found]


def _named(text: str, names: Mapping[str, str]) -> str:
    for example, name in names.items():
        text = text.replace(example, name)
    return text
