"""Reading `$TIDEMILL_RESULT`, whatever it is, and the inputs from other nodes."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import orjson
import pytest

from executors.attempt_dirs import AttemptDir
from executors.events import MAX_VARIABLE_BYTES, EventLog, Report
from executors.results import Results, has_result, needs_fetch, needs_stdin_file, stdin_of
from executors.s3 import ObjectStore
from executors.sandbox.users import User
from executors.supervisor_link import Exited
from schemas.codec import decode
from schemas.dispatch import Dispatch
from schemas.event import EndCause, Ended, EventBatch
from schemas.result import MAX_INLINE_BYTES, MAX_RESULT_BYTES, Result, result_key, run_of_result
from schemas.settings import Connections
from tests.support.raw_json import raw

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)
SECOND = timedelta(seconds=1)
OPEN_FILES = Path("/proc/self/fd")
ALLOWED = f"allowed is one JSON value of at most {MAX_RESULT_BYTES} bytes"


def dispatch(run_id="dag#r/a", **fields) -> Dispatch:
    plain = {
        "run_id": run_id, "owner": "dag", "job_id": "dag", "attempt": 1, "token": 7, "timeout_class": "10s",
        "nominal_time": NOW, "scheduled_time": NOW, "executable": "s3://b/k", "sha256": None, "args": (), "env": {},
        "payload": None, "limit": SECOND, "valid_for": SECOND, "claim_grace": SECOND, "lease": SECOND,
    }  # fmt: skip
    return Dispatch(**plain | fields)


@pytest.fixture
def place(tmp_path):
    made = AttemptDir(path=tmp_path, executable=tmp_path / "executable")
    made.result.parent.mkdir()
    return made


@pytest.fixture
def collected(place):
    """A function that collects a result without access to S3."""
    store = ObjectStore(Connections(s3_endpoint="http://127.0.0.1:1", s3_access_key="a", s3_secret_key="b"))
    results = Results(store, "tidemill", keep_timeout=SECOND, fetch_timeout=SECOND)

    def collect(content, run_id="dag#r/a", user=None):
        if content is not None:
            place.result.write_bytes(content)
        return asyncio.run(results.collect(dispatch(run_id), dataclasses.replace(place, user=user)))

    yield collect
    results.close()


@pytest.mark.parametrize(
    ("content", "value", "size"),
    [
        (b'{"rows": 3}\n', b'{"rows": 3}', 11),
        (b" null ", None, 4),
        ('"\u00fc"'.encode(), '"\u00fc"'.encode(), 4),
        (b"[1, 2.50, 1e400]", b"[1, 2.50, 1e400]", 16),
    ],
)
def test_a_small_result_is_in_the_event(collected, content, value, size):
    written = collected(content)
    result = Result(bytes=size, value=value and msgspec.Raw(value))
    assert (written.result, written.problem, written.lost) == (result, None, None)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not JSON: "),
        (b"rows: 3", "is not JSON: "),
        (b'{"a": 1} {}', "is not JSON: "),
        (b"\xff", "is not JSON: "),
        (b'{"x": "M\xfcller"}', "is not JSON: byte 9 is 0xfc, which is not UTF-8"),
        (b'{"M\xfc": 1}', "is not JSON: byte 4 is 0xfc, which is not UTF-8"),
        (b'{"tidemill_next": ["\xfc"]}', "is not JSON: byte 21 is 0xfc, which is not UTF-8"),
        (b"[NaN]", "is not JSON: "),
        (b"[" * 300 + b"]" * 300, "is refused: it is nested deeper than 200 levels"),
        (b'["\\\\\\u0000"]', "is refused: it contains the character U+0000, which Postgres cannot read in JSON"),
        (b" " * MAX_RESULT_BYTES + b"1", f"has more than {MAX_RESULT_BYTES} bytes"),
    ],
    ids=[
        "empty",
        "text",
        "two",
        "bytes",
        "Latin-1",
        "a key in Latin-1",
        "a node in Latin-1",
        "NaN",
        "deep",
        "NUL",
        "large",
    ],
)
def test_an_invalid_result_is_refused_with_a_sentence(collected, content, why):
    written = collected(content)
    assert written.result is None
    assert written.problem.startswith(f"its result is refused: $TIDEMILL_RESULT {why}")
    assert written.problem.endswith(ALLOWED)


def test_letters_after_a_backslash_are_no_nul(collected):
    assert bytes(collected(content := b'["\\\\u0000"]').result.value) == content


@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")], ids=["fifo", "dir", "link"]
)
def test_a_result_that_is_no_plain_file_does_not_block(collected, place, make):
    make(place.result)
    collected(None)
    before = len(list(OPEN_FILES.iterdir()))
    assert collected(None).problem.endswith(ALLOWED)
    assert len(list(OPEN_FILES.iterdir())) == before


@pytest.mark.parametrize(
    ("value", "next_nodes"),
    [
        ({"tidemill_next": ["b", "c", "b"]}, ("b", "c")),
        ({"tidemill_next": []}, ()),
        ({"next": ["b"]}, None),
        (["tidemill_next"], None),
    ],
)
def test_a_node_can_choose_its_dependents(collected, value, next_nodes):
    assert collected(orjson.dumps(value)).next_nodes == next_nodes


def test_a_job_cannot_choose_dependents(collected):
    written = collected(b'{"tidemill_next": 5}', run_id="job#r")
    assert (written.problem, written.next_nodes) == (None, None)


@pytest.mark.parametrize("named", [b'"b"', b"null", b'["b", 1]', b'{"b": true}'])
def test_an_invalid_choice_is_refused(collected, named):
    problem = collected(b'{"tidemill_next": %s}' % named).problem
    assert problem.startswith("its result is refused: tidemill_next is ")
    assert problem.endswith("; allowed is a list of ids of nodes that depend on this one")


def test_without_s3_a_result_that_belongs_there_is_lost_and_one_of_a_job_is_not(collected):
    content = orjson.dumps("x" * 5_000)
    lost = collected(content)
    assert lost.lost.startswith("its result was not stored: S3 ")
    assert (lost.result, lost.problem) == (None, None)
    assert collected(content, run_id="job#r").result == Result(bytes=5_002, value=raw("x" * 5_000))


def test_a_file_of_another_user_is_no_result(collected):
    """The job may have linked one that only the executor may read."""
    other = os.geteuid() + 1
    written = collected(b"1", user=User(id=other, killer=other))
    assert written.result is None
    assert written.problem.startswith("its result is refused: $TIDEMILL_RESULT belongs to another user")


def test_only_a_success_passes_a_result(place):
    def exited(code, cause=EndCause.EXITED):
        return Exited(number=1, code=code, cause=cause, at=0.0)

    assert not has_result(exited(0), place)
    place.result.touch()
    assert has_result(exited(0), place)
    assert not has_result(exited(3), place)
    assert not has_result(exited(0, EndCause.LIMIT), place)


def test_standard_input_is_the_payload_or_that_and_what_others_wrote():
    near, far = Result(bytes=1, value=raw(1)), Result(bytes=9, uri="s3://b/k", sha256="ab")
    assert stdin_of(dispatch(), {}) is None
    assert stdin_of(dispatch(payload=raw([1])), {}) == b"[1]"
    alone = dispatch(payload=raw({"day": 1}), results={"a": near, "b": None})
    assert orjson.loads(stdin_of(alone, {})) == {"payload": {"day": 1}, "results": {"a": 1, "b": None}}
    fetched = dispatch(results={"a": near, "b": far})
    assert (needs_fetch(alone), needs_fetch(fetched)) == (False, True)
    assert stdin_of(fetched, {"b": b'{"x":2}'}) == b'{"payload":null,"results":{"a":1,"b":{"x":2}}}'


def test_results_of_many_attempts_do_not_make_a_record_too_large():
    sent = []
    log = EventLog(
        type("Sender", (), {"send": sent.append})(), lambda _, go_on: go_on(), topic="events", executor_id="e.1"
    )
    for token in range(60):
        result = Result(bytes=MAX_INLINE_BYTES, value=raw("x" * (MAX_INLINE_BYTES - 2)))
        event = Ended(
            run_id="a",
            attempt=1,
            token=token,
            at=NOW,
            cause=EndCause.EXITED,
            exit_code=0,
            started_at=NOW,
            result=result,
        )
        log.add(0, Report(owner="a", event=event, on_ack=lambda: None))
    while log.unacknowledged:
        sent[-1].on_ack(0.0)
    assert max(len(each.value) for each in sent) < MAX_VARIABLE_BYTES + 2 * MAX_INLINE_BYTES
    tokens = [event.token for each in sent for event in decode(each.value, EventBatch).events]
    assert tokens == list(range(60))


def test_a_key_in_s3_names_its_run():
    key = result_key("dag@2026-11-21T03:00:00Z/a b", 7)
    assert run_of_result(f"s3://bucket/{key}") == "dag@2026-11-21T03:00:00Z/a b"
    assert run_of_result("s3://bucket/logs/x/1") is None


@pytest.mark.parametrize(
    ("changes", "needs"),
    [
        ({}, False),
        ({"payload": raw("x" * 1_000)}, False),
        ({"payload": raw("x" * 300_000)}, True),
        ({"results": {"a": Result(bytes=200_000, value=raw(1)), "b": Result(bytes=200_000, value=raw(1))}}, True),
        ({"results": {"a": None, "b": Result(bytes=9, uri="s3://b/k", sha256="ab")}}, True),
    ],
)
def test_the_event_loop_writes_only_small_inputs_that_are_at_hand(changes, needs):
    assert needs_stdin_file(dispatch(**changes)) is needs
