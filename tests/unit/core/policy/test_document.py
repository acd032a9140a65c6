"""Plays every row of docs/policies.md on the simulated log, with one owner and with a new owner each second."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schemas.words import CatchupPolicy, OverlapPolicy
from tests.support.checkers import legal_history, no_dispatch_after_stop
from tests.support.simulated.log import Log
from tests.support.simulated.scenario import Scenario

DOCUMENT = Path(__file__).parents[4] / "docs" / "policies.md"
HEADER = ["the job", "what happens", "its occurrences"]


def rows() -> list[list[str]]:
    """The rows of the tables of cases, without their headers."""
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


@pytest.mark.parametrize("new_owner_each_second", [False, True], ids=["one owner", "a new owner each second"])
@pytest.mark.parametrize("case", CASES, ids=[" ".join(each[:2]) for each in CASES])
def test_each_case_of_the_document_happens_as_documented(case, new_owner_each_second) -> None:
    settings, happenings, expected = case
    scenario = Scenario(settings.replace("`", ""), happenings)
    assert scenario.play(new_owner_each_second=new_owner_each_second) == expected.replace("`", "").split("<br>")
    assert broken(scenario.log) == []


def broken(log: Log) -> list[str]:
    return legal_history(log.history()) + no_dispatch_after_stop(log.history(), log.dispatches())


@pytest.mark.parametrize(("column", "enum"), [("overlap_policy", OverlapPolicy), ("catchup_policy", CatchupPolicy)])
def test_each_policy_has_a_case(column, enum) -> None:
    said = " ".join(settings for settings, *_ in CASES)
    assert {each.value for each in enum if not re.search(rf"\b{column} = {each.value}\b", said)} == set()
