"""The table of docs/security.md names every hostile attempt, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
NAMED = re.compile(r"`(test_\w+\.py)::(\w+)`")


def attempts() -> set[tuple[str, str]]:
    return {
        (path.name, node.name)
        for path in (ROOT / "tests/hostile").glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_the_table_names_each_test_of_a_hostile_attempt_once():
    named = NAMED.findall((ROOT / "docs/security.md").read_text())
    assert sorted(named) == sorted(attempts())


def test_there_are_at_least_forty_attempts():
    assert len(attempts()) >= 40
