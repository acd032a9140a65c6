"""The enum values in SQL equal those of the streams."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from importlib.resources import files

import pytest

from schemas.confinement import Network, Sandbox
from schemas.dag import DagSpec, NodeSpec
from schemas.job import JobSpec
from schemas.reasons import ProblemCode, ReasonCode
from schemas.request_rules import OF_KINDS, only
from schemas.words import (
    CatchupPolicy,
    DstFold,
    DstGap,
    MarkAs,
    OnDelete,
    OverlapPolicy,
    Reprocess,
    RequestKind,
    RunState,
    TriggerRule,
)

TABLES = "\n".join(
    each.read_text(encoding="utf-8")
    for each in sorted((files("schemas") / "tables").iterdir(), key=lambda each: each.name)
)
IN_ONE_LINE = re.sub(r"'\n\s*'", "", TABLES)
STATEMENTS = TABLES + "\n".join(
    each.read_text(encoding="utf-8")
    for folder in ("tidemill/sql", "connectors")
    for each in files(folder.split("/")[0]).joinpath(*folder.split("/")[1:]).iterdir()
    if each.name.endswith(".sql")
)
ENUMS: dict[str, Iterable[Enum]] = {
    "overlap_policy": OverlapPolicy,
    "on_delete": OnDelete,
    "catchup_policy": CatchupPolicy,
    "catchup_after_pause": CatchupPolicy,
    "dst_gap": DstGap,
    "dst_fold": DstFold,
    "kind": RequestKind,
    "mark_as": MarkAs,
    "reprocess": Reprocess,
    "trigger_rule": TriggerRule,
    "sandbox": (Sandbox.BASIC, Sandbox.STRICT),
    "network": Network,
}
ONLY_IN_SQL = {"may"}
"""Columns whose words only policies and triggers know."""
OF_KIND = re.compile(r"request\.kind (?:<> '(\w+)'|not in \(([^)]+)\)) and request\.(\w+)[^;]+?'(only kinds? [^']+)'")
CHECKED = re.compile(r"check_word\(\s*'(\w+)',[^;]*?'\{([a-z_,\s]+)\}'")
CODES = re.compile(r"\b(reason_code|code) (?:= ('\w+')|in \(([a-z_', ]+)\))")
STATES = re.compile(r"\bstate in \(([a-z_', ]+)\)")
OPEN = {state.value for state in RunState if not state.is_final}


def words(text):
    return {word.strip(" '\n") for word in text.split(",")}


def test_every_checked_column_has_an_enum_with_the_same_values():
    checked = {name: words(allowed) for name, allowed in CHECKED.findall(IN_ONE_LINE)}
    known = {name: words for name, words in checked.items() if name not in ONLY_IN_SQL}
    assert known == {name: {each.value for each in enum} for name, enum in ENUMS.items()}


def newest(function):
    """Its text, from its name to the end of the statement."""
    _, _, text = TABLES.rpartition(f"function tidemill.{function}(")
    return text.partition("$$;" if " as $$" in text.partition(";")[0] else ";")[0]


@pytest.mark.parametrize(
    ("function", "record"), [("job_spec", JobSpec), ("dag_spec", DagSpec), ("node_spec", NodeSpec)]
)
def test_the_tables_write_each_field_of_a_definition(function, record):
    assert set(re.findall(r"'(\w+)', ", newest(function))) == set(record.__struct_fields__)


def test_the_tables_check_each_column_of_a_job():
    checks = [newest(each) for each in ("check_job", "check_schedule_columns", "check_process_columns")]
    assert set(re.findall(r"\b(?:job|planned|process)\.(\w+)", "".join(checks))) == set(JobSpec.__struct_fields__)


def test_a_field_of_a_request_is_of_the_same_kinds_by_table_and_by_topic():
    rules = re.sub(r"'\n\s*'", "", newest("check_request_kind"))
    found = {name: (words(one or several), said) for one, several, name, said in OF_KIND.findall(rules)}
    written = OF_KINDS.keys() - {"attempt", "nominal_time", "nodes"}
    assert found == {name: ({each.value for each in OF_KINDS[name]}, only(name)) for name in written}


def test_the_comment_on_the_kind_of_a_request_names_each():
    _, _, comment = IN_ONE_LINE.rpartition("comment on column tidemill.requests.kind is")
    said = comment.partition("';")[0]
    assert {each.value for each in RequestKind if not re.search(rf"\b{each.value}\b", said)} == set()


def test_codes_that_statements_compare_with_are_codes():
    found = {(name, word) for name, one, several in CODES.findall(STATEMENTS) for word in words(one or several)}
    enums: dict[str, type[Enum]] = {"reason_code": ReasonCode, "code": ProblemCode}
    assert {name for name, _ in found} == set(enums)
    assert {(name, word) for name, word in found if word not in {each.value for each in enums[name]}} == set()


@pytest.mark.parametrize("found", sorted(set(STATES.findall(STATEMENTS))))
def test_listed_states_exist_and_lists_of_open_states_are_complete(found):
    listed = words(found)
    assert listed <= {state.value for state in RunState}
    if listed & OPEN:
        assert listed in (OPEN, OPEN - {RunState.QUEUED.value}), "what runs, or all that has not ended"
