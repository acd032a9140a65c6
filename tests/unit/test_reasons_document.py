"""docs/reasons.md says of each code what schemas/reasons.py says of it."""

from __future__ import annotations

import ast
import re
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

import pytest

from schemas import reasons
from schemas.reasons import OF_ATTEMPTS, ProblemCode, ReasonCode
from schemas.status import Attempt, RunStatus, Transition

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(\w+)` \| (.+) \|$", re.MULTILINE)
SECTIONS = {ReasonCode: "## Reasons", ProblemCode: "## Problems"}


def said(enum: type[StrEnum]) -> dict[str, str]:
    """Of each word the docstring behind it."""
    tree = ast.parse((ROOT / "schemas" / "reasons.py").read_text())
    (body,) = (each.body for each in tree.body if isinstance(each, ast.ClassDef) and each.name == enum.__name__)
    found = {}
    for member, after in pairwise(body):
        if isinstance(member, ast.Assign) and isinstance(after, ast.Expr):
            found[ast.literal_eval(member.value)] = ast.literal_eval(after.value)
    return found


@pytest.mark.parametrize("enum", [ReasonCode, ProblemCode])
def test_each_code_says_in_one_line_what_it_means_and_what_to_do(enum) -> None:
    _, _, section = (ROOT / "docs" / "reasons.md").read_text().partition(SECTIONS[enum])
    assert dict(ROW.findall(section.partition("\n## ")[0])) == said(enum)
    assert said(enum).keys() == {each.value for each in enum}
    assert all("\n" not in text and text.endswith(".") for text in said(enum).values())


@pytest.mark.parametrize("record", [Transition, Attempt, RunStatus])
def test_a_record_without_a_code_can_be_read(record) -> None:
    assert {"reason", "reason_code"} <= set(record.__struct_fields__)
    fields = zip(reversed(record.__struct_fields__), reversed(record.__struct_defaults__), strict=False)
    assert dict(fields)["reason_code"] is None


def test_codes_of_attempts_are_few_and_known() -> None:
    assert set(ReasonCode) > OF_ATTEMPTS
    assert len(ReasonCode) <= 50
    assert set(ReasonCode) > reasons.HOLDING
