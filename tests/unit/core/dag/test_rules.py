"""The trigger rules follow the table in docs/dags.md, in whatever order dependencies end."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.words import RunState, TriggerRule
from streams.core.dag.trigger import OUTCOME, Ends, NodeDecision, decide_node
from tests.support.dag_reference import STARTED_EARLY_BY, TABLE

FIELDS = {"s": "succeeded", "f": "failed", "k": "skipped", "u": "upstream_failed"}
SAID = {
    NodeDecision.START: "run",
    NodeDecision.SKIP: "skip",
    NodeDecision.UPSTREAM_FAILED: "uf",
    NodeDecision.WAIT: "wait",
}
COLUMNS = ["".join(each) for size in range(1, 5) for each in itertools.combinations("sfku", size)]
CASES = [(rule, column) for rule in TriggerRule for column in COLUMNS]


def said(rule: TriggerRule, found: str, needed: int | None = None) -> str:
    counts = {name: found.count(letter) for letter, name in FIELDS.items()}
    return SAID[decide_node(rule, Ends(needed=len(found) if needed is None else needed, **counts))]


@pytest.mark.parametrize(("rule", "column"), CASES, ids=[f"{rule.value} {column}" for rule, column in CASES])
def test_a_rule_follows_its_row_whatever_the_number_of_dependencies(rule, column) -> None:
    for times in itertools.product((1, 3), repeat=len(column)):
        assert said(rule, "".join(letter * n for letter, n in zip(column, times, strict=True))) == TABLE[rule][column]


def test_the_table_has_all_rules_and_all_columns() -> None:
    assert set(TABLE) == set(TriggerRule)
    assert all(list(row) == COLUMNS for row in TABLE.values())


@pytest.mark.parametrize("rule", list(TriggerRule), ids=lambda rule: rule.value)
def test_before_all_dependencies_end_only_a_one_rule_starts_its_node(rule) -> None:
    for column in COLUMNS:
        is_early = rule is TriggerRule.ALWAYS or bool(set(column) & set(STARTED_EARLY_BY.get(rule, "")))
        assert said(rule, column, needed=len(column) + 1) == ("run" if is_early else "wait")


@given(rule=st.sampled_from(TriggerRule), ends=st.text("sfku", min_size=1, max_size=6))
def test_a_verdict_is_not_changed_by_later_ends(rule, ends) -> None:
    verdicts = [said(rule, ends[:n], needed=len(ends)) for n in range(len(ends) + 1)]
    spoken = [each for each in verdicts if each != "wait"]
    assert spoken
    assert set(spoken) == {TABLE[rule]["".join(each for each in "sfku" if each in ends)]}


@pytest.mark.parametrize("rule", list(TriggerRule), ids=lambda rule: rule.value)
def test_a_node_without_dependencies_starts(rule) -> None:
    assert said(rule, "") == "run"


def test_every_final_state_has_a_meaning_for_dependents() -> None:
    assert set(OUTCOME) == {state for state in RunState if state.is_final}
