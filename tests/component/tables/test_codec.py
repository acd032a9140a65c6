"""Tables and codec accept the same values, so no accepted row becomes a dead letter."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.codec import decode_captured, decode_request
from schemas.errors import UndecodableError
from schemas.ids import owner_of_run
from tests.support.dag_rows import put, settle

side_by_side = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
APPENDED = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROW = {"owner": "j", "created_at": "2026-03-01T12:00:00Z", "valid_from": "2026-03-01T12:00:00Z"}
LARGEST, LEAST = 2**64 - 1, -(2**63)


def nested(levels, inner="1"):
    """JSON of `levels` nested arrays and objects."""
    return '[{"a":' * (levels // 2) + "[" * (levels % 2) + inner + "]" * (levels % 2) + "}]" * (levels // 2)


def taken(tables, statement, values):
    """The refusal of the database, or None; the row is rolled back."""
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


def by_topic(text):
    """The payload decoded from a producer's bytes; None: refused."""
    record = b'{"request_id": "r", "job_id": "j", "payload": %s}' % text.encode()
    try:
        return bytes(decode_request(record, APPENDED).payload)
    except UndecodableError:
        return None


PAYLOADS = {
    nested(200): True,
    nested(200, "{}"): False,
    nested(201): False,
    nested(240): False,
    json.dumps([[1]] * 500): True,
    json.dumps("[{" * 500): True,
    str(LARGEST + 1): True,
    f'{{"{10**30}": ["{10**30}", "\\"", {10**30}]}}': True,
    "0.1000000000000000055": True,
    "12345678901234567.89": True,
    "1.50": True,
    "1E+2": True,
    "1e400": True,
    "-1e400": True,
    "1e-400": True,
    "1" + "0" * 400 + ".5": True,
    '{"b": 1,  "a": 2,\n"b": 3}': True,
    '"\\u00e9\\/\\ud83d\\ude00 é"': True,
    '"\\u0000"': False,
    '{"\\u0000": 1}': False,
    '"\\\\u0000"': True,
    '"\\ud800"': False,
    '"\\ud800x"': False,
    '"\\udc00"': False,
}


def in_rows(tables, text):
    """The payload that arrives with the records of a job, a node and a request; None: the row is refused."""
    statements = [
        "update tidemill.jobs set payload = %s",
        "update tidemill.dag_nodes set payload = %s",
        "insert into tidemill.requests (request_id, job_id, payload) values ('r', 'j', %s)",
    ]
    return [arrived(tables, statement, text) for statement in statements]


def arrived(tables, statement, text):
    found = None
    try:
        with tables.transaction():
            tables.execute(statement, (text,))
            settle(tables)
            found = bytes(payload_of(tables, statement))
            raise psycopg.Rollback
    except psycopg.errors.CheckViolation:
        return None
    return found


def payload_of(tables, statement):
    if "requests" in statement:
        (text,) = tables.execute("select payload::text from tidemill.requests").fetchone()
        row = {"__table": "requests", "request_id": "r", "kind": "run", "job_id": "j", "payload": text}
        return decode_captured(orjson.dumps(ROW | row)).payload
    kind = "job" if "jobs" in statement else "dag"
    (text,) = tables.execute(
        "select spec::text from tidemill.definitions where kind = %s order by version desc limit 1", (kind,)
    ).fetchone()
    row = {"__table": "definitions", "version": 1, "deleted": False, "kind": kind, "spec": text}
    spec = decode_captured(orjson.dumps(ROW | row)).spec
    return spec.payload if kind == "job" else spec.nodes[0].payload


@pytest.fixture
def defined(tables):
    tables.execute("""insert into tidemill.jobs (job_id, executable, payload) values ('job', 's3://tidemill/x', '0')""")
    put(tables, {"a": []}, "dag")
    tables.execute("update tidemill.dag_nodes set payload = '0'")
    settle(tables)


@pytest.mark.parametrize(("text", "is_fine"), PAYLOADS.items())
def test_a_payload_arrives_unchanged_by_every_entrance_or_is_refused_by_all(tables, defined, text, is_fine):
    wanted = text.encode() if is_fine else None
    assert [*in_rows(tables, text), by_topic(text)] == [wanted] * 4


def test_white_space_around_a_payload_is_removed(tables, defined):
    assert [*in_rows(tables, " \n[1,  2]\t"), by_topic("  [1,  2]\n")] == [b"[1,  2]"] * 4


def test_writing_the_same_payload_again_is_no_change(tables, defined):
    ask = "select count(*) from tidemill.definitions"
    for text, more in (('{"a": 1.0}', 2), ('{"a": 1.0}', 0), ('{"a": 1.00}', 2), ('{"a":1.00}', 2)):
        (before,) = tables.execute(ask).fetchone()
        tables.execute("update tidemill.jobs set payload = %s", (text,))
        tables.execute("update tidemill.dag_nodes set payload = %s", (text,))
        settle(tables)
        assert tables.execute(ask).fetchone() == (before + more,), text


numbers = st.integers() | st.integers(LEAST - 2, LEAST + 2) | st.integers(LARGEST - 2, LARGEST + 2)
decimals = st.builds("{}{}{}".format, numbers, st.sampled_from([".", ".0", "e", "e-", "e+"]), st.integers(0, 400))
leaves = numbers.map(str) | decimals | st.text('19.e"\\u0', max_size=25).map(json.dumps)
payloads = st.builds(nested, st.integers(0, 3) | st.integers(198, 202), leaves)


@side_by_side
@given(text=payloads)
def test_all_entrances_accept_the_same_payloads(tables, defined, text):
    found = by_topic(text)
    assert found in {None, text.encode()}
    assert in_rows(tables, text) == [found] * 3


CANCEL = "insert into tidemill.requests (request_id, kind, run_id) values ('r', 'cancel', %s)"
rests = st.text("aj@#/~.\n\u200bé", max_size=4) | st.integers(690, 710).map("x".__mul__)


@side_by_side
@given(run_id=st.tuples(st.sampled_from(["j@", "j#", "j@x/", "j#r/"]), rests).map("".join))
@example(run_id="j")
@example(run_id="j@")
@example(run_id="j@\n")
@example(run_id="j@" + "x" * 698)
@example(run_id="j@" + "x" * 699)
def test_table_and_codec_accept_the_same_run_ids(tables, run_id):
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
def test_table_and_codec_accept_the_same_instants(tables, run_at, is_fine):
    said = taken(tables, RUN, (run_at,))
    request = {"__table": "requests", "request_id": "r", "kind": "run", "job_id": "j", "run_at": run_at}
    assert ((said is None), is_decoded(request)) == (is_fine, is_fine), said
