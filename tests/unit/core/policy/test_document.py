"""docs/policies.md is true: every row of its tables is played on the simulated log, and with an owner that changes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schemas.words import CatchupPolicy, OverlapPolicy
from tests.support.checkers import legal_history, stays_cancelled
from tests.support.simulated.log import Log
from tests.support.simulated.scenario import Story

DOCUMENT = Path(__file__).parents[4] / "docs" / "policies.md"
HEADER = ["the job", "what happens", "its occurrences"]


def rows() -> list[list[str]]:
    """Of the tables of cases: without their heads."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in DOCUMENT.read_text().splitlines()
        if line.startswith("|") and not re.fullmatch(r"[|\- ]+", line)
    ]
    cases, is_case = [], False
    for row in cells:
        if row == HEADER or len(row) != len(HEADER):
            is_case = row == HEADER
        elif is_case:
            cases.append(row)
    return cases


CASES = rows()


@pytest.mark.parametrize("restless", [False, True], ids=["one owner", "a new owner each second"])
@pytest.mark.parametrize("case", CASES, ids=[" ".join(each[:2]) for each in CASES])
def test_a_case_of_the_document_is_what_happens(case, restless) -> None:
    settings, happenings, expected = case
    story = Story(settings.replace("`", ""), happenings)
    assert story.play(restless=restless) == expected.replace("`", "").split("<br>")
    assert broken(story.log) == []


def broken(log: Log) -> list[str]:
    return legal_history(log.history()) + stays_cancelled(log.history(), log.dispatches())


@pytest.mark.parametrize(("column", "enum"), [("overlap_policy", OverlapPolicy), ("catchup_policy", CatchupPolicy)])
def test_each_policy_has_a_case(column, enum) -> None:
    said = " ".join(settings for settings, *_ in CASES)
    assert {each.value for each in enum if not re.search(rf"\b{column} = {each.value}\b", said)} == set()
