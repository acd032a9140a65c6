"""What a table takes the codec takes too, and what it refuses the codec refuses: no accepted row is a dead letter."""

from __future__ import annotations

import json

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.codec import decode_captured
from schemas.errors import UndecodableError
from schemas.ids import owner_of_run
from tests.dag_rows import put, settle

side_by_side = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
ROW = {"owner": "j", "created_at": "2026-03-01T12:00:00Z", "valid_from": "2026-03-01T12:00:00Z"}
LARGEST, LEAST = 2**64 - 1, -(2**63)


def nested(levels, inner="1"):
    """JSON of `levels` arrays and objects, one in the other."""
    return '[{"a":' * (levels // 2) + "[" * (levels % 2) + inner + "]" * (levels % 2) + "}]" * (levels // 2)


def taken(tables, statement, values):
    """What the database says against it; None: nothing. The row is taken back."""
    try:
        with tables.transaction():
            tables.execute(statement, values)
            raise psycopg.Rollback
    except psycopg.errors.CheckViolation as error:
        return error.diag.message_primary
    return None


def is_decoded(row):
    try:
        decode_captured(orjson.dumps(ROW | row))
    except UndecodableError:
        return False
    return True


def as_jsonb(tables, text):
    return tables.execute("select %s::jsonb::text", (text,)).fetchone()[0]


def spec_with(tables, kind, payload):
    """The definition as its trigger would append it, were `payload` taken."""
    merged = "payload" if kind == "job" else "nodes,0,payload"
    return tables.execute(
        "select jsonb_set(spec, %s, %s::jsonb)::text from tidemill.definitions where owner = %s and kind = %s",
        (f"{{{merged}}}", payload, kind, kind),
    ).fetchone()[0]


PAYLOADS = {
    nested(200): True,
    nested(200, "{}"): False,
    nested(201): False,
    nested(240): False,
    json.dumps([[1]] * 500): True,
    str(LARGEST): True,
    str(LEAST): True,
    str(LARGEST + 1): False,
    str(LEAST - 1): False,
    f'{{"{10**30}": ["{10**30}", "\\"", {10**30}]}}': False,
    f'{{"{10**30}": ["{10**30}", "\\"", "\\\\"]}}': True,
    f"{LARGEST}.5": True,
    f"{LARGEST + 1}.5": True,
    f"0.{10**30}": True,
    "1e19": True,
    "1e20": False,
    "1e400": False,
    "-1e400": False,
    "1e-400": True,
    "1" + "0" * 400 + ".5": False,
}


@pytest.fixture
def defined(tables):
    tables.execute("""insert into tidemill.jobs (job_id, "binary", payload) values ('job', 's3://tidemill/x', '0')""")
    put(tables, {"a": []}, "dag")
    tables.execute("update tidemill.dag_nodes set payload = '0'")
    settle(tables)


def verdicts(tables, text):
    """Of the tables and of the codec, for a job, a node and a request."""
    said = [
        taken(tables, "update tidemill.jobs set payload = %s", (text,)),
        taken(tables, "update tidemill.dag_nodes set payload = %s", (text,)),
        taken(tables, "insert into tidemill.requests (request_id, job_id, payload) values ('r', 'j', %s)", (text,)),
    ]
    payload = as_jsonb(tables, text)
    definition = {"__table": "definitions", "version": 1, "deleted": False}
    request = {"__table": "requests", "request_id": "r", "kind": "run", "job_id": "j", "payload": payload}
    decoded = [
        is_decoded(definition | {"kind": kind, "spec": spec_with(tables, kind, payload)}) for kind in ("job", "dag")
    ]
    return said, [*decoded, is_decoded(request)]


@pytest.mark.parametrize(("text", "is_fine"), PAYLOADS.items())
def test_a_payload_is_taken_by_both_or_by_neither(tables, defined, text, is_fine):
    said, decoded = verdicts(tables, text)
    assert [sentence is None for sentence in said] == decoded == [is_fine] * 3, said


numbers = st.integers() | st.integers(LEAST - 2, LEAST + 2) | st.integers(LARGEST - 2, LARGEST + 2)
decimals = st.builds("{}{}{}".format, numbers, st.sampled_from([".", ".0", "e", "e-", "e+"]), st.integers(0, 400))
leaves = numbers.map(str) | decimals | st.text('19.e"\\', max_size=25).map(json.dumps)
payloads = st.builds(nested, st.integers(0, 3) | st.integers(198, 202), leaves)


@side_by_side
@given(text=payloads)
def test_whatever_a_payload_is_both_say_the_same(tables, defined, text):
    said, decoded = verdicts(tables, text)
    assert [sentence is None for sentence in said] == decoded, said


CANCEL = "insert into tidemill.requests (request_id, kind, run_id) values ('r', 'cancel', %s)"
rests = st.text("aj@#/~.\n\u200bé", max_size=4) | st.integers(690, 710).map("x".__mul__)


@side_by_side
@given(run_id=st.tuples(st.sampled_from(["j@", "j#", "j@x/", "j#r/"]), rests).map("".join))
@example(run_id="j")
@example(run_id="j@")
@example(run_id="j@\n")
@example(run_id="j@" + "x" * 698)
@example(run_id="j@" + "x" * 699)
def test_whatever_a_run_id_is_both_say_the_same(tables, run_id):
    owner = owner_of_run(run_id)
    said = taken(tables, CANCEL, (run_id,))
    request = {"__table": "requests", "request_id": "r", "kind": "cancel", "job_id": owner, "run_id": run_id}
    assert (said is None) == (owner is not None and is_decoded(request)), said


RUN = "insert into tidemill.requests (request_id, job_id, run_at) values ('r', 'j', %s)"


@pytest.mark.parametrize(
    ("run_at", "is_fine"),
    [
        ("2199-12-31T23:59:59.999Z", True),
        ("2199-12-31T23:59:59.999001Z", False),
        ("2199-12-31T23:59:59.9995Z", False),
        ("2200-01-01T00:00:00Z", False),
        ("2200-01-01T00:30:00+01:00", True),
        ("1970-01-01T00:00:00+01:00", False),
    ],
)
def test_an_instant_is_taken_by_both_or_by_neither(tables, run_at, is_fine):
    said = taken(tables, RUN, (run_at,))
    request = {"__table": "requests", "request_id": "r", "kind": "run", "job_id": "j", "run_at": run_at}
    assert ((said is None), is_decoded(request)) == (is_fine, is_fine), said
