"""Prometheus' rules: each names what exists, says what to do, and has a case in which it fires and one in which not."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.support import promtool
from tests.support.promql import known_series, matchers, metrics_in
from tests.support.rules import ALERTS, RULE_FILES, RULES, TEST_FILES
from tests.unit.repository.test_docs_links import ROOT

RUNBOOK = ROOT / "docs" / "operations.md"
LABEL = re.compile(r"\$labels\.(\w+)")
SEVERITIES = {"critical", "warning"}


def cases(alert: str) -> list[dict]:
    """The expectations of promtool about an alert, from all test files."""
    named = f'alertname="{alert}"'
    tests = [each for path in TEST_FILES for each in yaml.safe_load(path.read_text())["tests"]]
    return [each for test in tests for each in test["promql_expr_test"] if named in each["expr"]]


@pytest.mark.parametrize("rule", RULES, ids=lambda each: each.get("alert") or each["record"])
def test_a_rule_names_metrics_and_labels_that_exist(rule):
    recorded = {each["record"] for each in RULES if "record" in each}
    for name in metrics_in(rule["expr"]) - recorded:
        assert name in known_series(), name
    for name, label, value in matchers(rule["expr"]):
        metric = known_series()[name]
        assert label in {*metric.labels, "le", "job", "instance"}, f"{name} has no label {label}"
        values = metric.values.get(label)
        assert not value or values is None or value in values, f"{name}: {label} is never {value}"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda each: each["alert"])
def test_an_alert_says_how_severe_it_is_and_what_to_do(alert):
    assert alert["alert"].startswith("Tidemill")
    assert alert["labels"]["severity"] in SEVERITIES
    assert set(alert["annotations"]) == {"summary", "description", "runbook"}
    assert alert["annotations"]["description"].endswith(".")
    assert alert["annotations"]["runbook"] == f"docs/operations.md#{alert['alert'].lower()}"


def test_the_runbook_has_a_section_for_each_alert_and_no_other():
    headings = re.findall(r"^### (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(each["alert"] for each in ALERTS)


@pytest.mark.parametrize("section", RUNBOOK.read_text().split("\n### ")[1:], ids=lambda each: each.split("\n")[0])
def test_a_section_of_the_runbook_says_what_it_means_and_what_to_do(section):
    assert re.findall(r"^- (Meaning|Look at|Do): ", section, re.MULTILINE) == ["Meaning", "Look at", "Do"]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda each: each["alert"])
def test_an_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent(alert):
    found = cases(alert["alert"])
    assert [each for each in found if each["exp_samples"]], "it never fires"
    assert [each for each in found if not each["exp_samples"]], "it is never silent"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda each: each["alert"])
def test_an_annotation_uses_only_labels_that_the_alert_has(alert):
    used = set(LABEL.findall(" ".join(alert["annotations"].values())))
    fired = [each["labels"] for case in cases(alert["alert"]) for each in case["exp_samples"]]
    assert fired
    assert all(used <= set(re.findall(r"(\w+)=", labels)) for labels in fired)


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda each: each.stem)
def test_promtool_accepts_the_rules(path):
    promtool.check_rules(path)


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda each: each.stem)
def test_alerts_fire_when_they_must_and_only_then(path):
    promtool.test_rules(path)
