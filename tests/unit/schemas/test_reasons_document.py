"""docs/reasons.md says of each code what schemas/reasons.py says of it."""

from __future__ import annotations

import ast
import re
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

import pytest

from schemas import reasons
from schemas.codec import decode, encode
from schemas.reasons import OF_ATTEMPTS, ProblemCode, ReasonCode
from schemas.status import Attempt, RunStatus, Transition
from schemas.times import EPOCH
from schemas.words import RunState

ROOT = Path(__file__).parents[3]
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


def test_a_code_of_a_newer_release_can_be_read() -> None:
    written = encode(Transition(version=1, at=EPOCH, state=RunState.QUEUED, attempt=0, reason="x"))
    newer = written.replace(b'"reason_code":null', b'"reason_code":"a_word_of_the_next_release"')
    assert newer != written
    assert decode(newer, Transition).reason_code is ReasonCode.OTHER


def test_codes_of_attempts_are_few_and_known() -> None:
    assert set(ReasonCode) > OF_ATTEMPTS
    assert len(ReasonCode) <= 55
    assert set(ReasonCode) > reasons.HOLDING
