"""From a dispatch to its events, on a real broker and S3."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from schemas.confinement import Confinement, unmet
from schemas.event import MAX_OUTPUT_BYTES, Claimed, EndCause, Ended, Rejected, Started
from schemas.trace_ids import attempt_span_id, trace_id
from tests.support.request_cases import TRACEPARENT


@pytest.fixture
def owner(shared_executor):
    return shared_executor[0]


@pytest.fixture
def executor(shared_executor):
    return shared_executor[1]


def test_a_dispatch_runs_and_its_output_comes_back(owner, executor, objects):
    hello = objects.put(b"#!/bin/sh\necho hello\n")
    order = owner.order(hello)
    owner.dispatch(order)
    ended = owner.end_of(order)
    assert (ended.cause, ended.exit_code, ended.output, ended.output_bytes) == (EndCause.EXITED, 0, "hello\n", 6)
    assert [type(each) for each in owner.of(order)] == [Claimed, Started, Ended]
    assert owner.of(order, Started)[0].sha256 == hello[1]
    assert ended.log_uri is None


def test_a_cached_executable_starts_without_a_claimed_event(owner, executor, objects):
    hello = objects.script("echo hello")
    owner.run(hello)
    second = owner.order(hello)
    owner.dispatch(second)
    owner.end_of(second)
    assert [type(each) for each in owner.of(second)] == [Started, Ended]


def test_without_a_hash_the_object_is_whatever_it_is_now(owner, executor, objects):
    first = objects.script("echo one")
    address = first[0]
    assert owner.run((address, None)).output == "one\n"
    second = objects.put(b"#!/bin/sh\necho two\n", address.removeprefix("s3://tidemill/"))
    order = owner.order((address, None))
    owner.dispatch(order)
    assert owner.end_of(order).output == "two\n"
    assert owner.of(order, Started)[0].sha256 == second[1]


def test_the_exit_code_is_reported(owner, executor, objects):
    ended = owner.run(objects.script("exit 7"))
    assert (ended.cause, ended.exit_code) == (EndCause.EXITED, 7)


def test_a_death_by_a_signal_is_reported_as_128_and_its_number(owner, executor, objects):
    ended = owner.run(objects.script("kill -USR1 $$"))
    assert (ended.cause, ended.exit_code) == (EndCause.EXITED, 138)


def test_the_process_gets_payload_arguments_and_a_clean_environment(owner, executor, objects):
    order = owner.order(
        objects.script('cat; echo; echo "$1|$2"; env | sort; pwd'),
        args=("a b", "$c"),
        env={"COLOUR": "grün", "TIDEMILL_ATTEMPT": "99"},
        payload=msgspec.Raw('{"n": [1.50, "ä"]}'.encode()),
        attempt=3,
        traceparent=TRACEPARENT,
    )
    owner.dispatch(order)
    payload, args, *lines = owner.end_of(order).output.splitlines()
    assert payload == '{"n": [1.50, "ä"]}'
    assert args == "a b|$c"
    cwd = lines.pop()
    variables = dict(line.split("=", 1) for line in lines)
    assert variables.pop("HOME") == variables.pop("TMPDIR") == variables.pop("PWD") == cwd
    assert variables.pop("PATH").startswith("/usr/")
    assert variables.pop("TIDEMILL_CHECKPOINT").startswith(str(executor.work))
    assert variables.pop("TIDEMILL_RESULT").startswith(str(executor.work))
    assert variables == {
        "LANG": "C.UTF-8",
        "COLOUR": "grün",
        "TIDEMILL_RUN_ID": order.run_id,
        "TIDEMILL_ATTEMPT": "3",
        "TIDEMILL_FENCING_TOKEN": str(order.token),
        "TIDEMILL_NOMINAL_TIME": "2026-11-21T03:00:00.000Z",
        "TIDEMILL_TIMEOUT_SECONDS": "10",
        "TIDEMILL_INPUT": "payload",
        "TRACEPARENT": f"00-{trace_id(order.run_id, TRACEPARENT)}-{attempt_span_id(order.run_id, 3)}-01",
    }


def test_the_working_directory_is_empty_at_the_start_and_gone_after_the_end(owner, executor, objects, until):
    ended = owner.run(objects.script("ls -A; mkdir -p a/b; echo x > a/b/c; pwd"))
    cwd = ended.output.strip()
    assert cwd.startswith(str(executor.work))
    until(lambda: not Path(cwd).exists())
    until(lambda: not list(executor.work.glob("executor.*/[0-9]*/*/*")))


def test_a_null_payload_is_an_empty_input(owner, executor, objects):
    assert owner.run(objects.script("wc -c")).output.strip() == "0"


def test_an_executable_that_is_no_script_runs(owner, executor, objects):
    assert owner.run(objects.put(Path("/bin/true").read_bytes())).exit_code == 0


def test_a_file_that_cannot_be_executed_ends_with_127_and_a_reason(owner, executor, objects):
    ended = owner.run(objects.put(b"#!/no/such/interpreter\n"))
    assert ended.exit_code in (126, 127)
    assert "failed to execute" in ended.output


def test_a_wrong_checksum_is_rejected_with_both_hashes(owner, executor, objects):
    address, right = objects.script("echo never")
    wrong = "0" * 64
    rejected = owner.run((address, wrong))
    assert isinstance(rejected, Rejected)
    assert all(each in rejected.reason for each in (address, right, wrong))


@pytest.mark.parametrize("sha256", [None, "0" * 64])
def test_a_missing_object_is_rejected_by_name(owner, executor, sha256):
    rejected = owner.run(("s3://tidemill/no/such", sha256))
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "s3://tidemill/no/such does not exist"


def test_a_dispatch_that_asks_for_more_than_the_executor_gives_is_rejected_as_unmet(owner, executor, objects):
    asked = Confinement(unveil=("r:/no/executor/allows/this",))
    order = owner.order(objects.script("echo never"), confinement=asked)
    owner.dispatch(order)
    rejected = owner.end_of(order)
    assert isinstance(rejected, Rejected)
    assert rejected.is_unmet
    assert rejected.reason == unmet(asked, owner.last_heartbeat().capabilities)
    assert owner.of(order) == [rejected]


def test_a_process_at_its_limit_gets_term_and_does_not_succeed(owner, executor, objects):
    ended = owner.run(objects.script("trap 'echo bye; exit 0' TERM; sleep 60 & wait"), limit=timedelta(seconds=1))
    assert (ended.cause, ended.exit_code, ended.output) == (EndCause.LIMIT, 0, "bye\n")
    assert timedelta(seconds=1) <= ended.at - ended.started_at < timedelta(seconds=3)


def test_an_attempt_ends_with_its_leader_and_leaves_no_process(owner, executor, objects, marks, alive, until):
    in_group, daemon = marks(), marks()
    script = f"(sleep 60.{in_group}; true) & setsid sh -c 'sleep 60.{daemon}; true' & sleep 0.2; echo done"
    ended = owner.run(objects.script(script))
    assert (ended.exit_code, ended.output) == (0, "done\n")
    until(lambda: not alive(in_group) and not alive(daemon))


def test_long_output_is_head_and_tail_in_the_event_and_whole_in_s3(owner, executor, objects):
    ended = owner.run(objects.script("i=0; while [ $i -lt 4000 ]; do echo line $i; i=$((i+1)); done"))
    whole = "".join(f"line {i}\n" for i in range(4000))
    assert ended.output_bytes == len(whole)
    assert len(ended.output.encode()) <= MAX_OUTPUT_BYTES
    assert ended.output.startswith("line 0\nline 1\n")
    assert ended.output.endswith("line 3999\n")
    assert f"of {len(whole)} bytes left out" in ended.output
    assert objects.read(ended.log_uri).decode() == whole


def test_events_go_to_the_partition_of_the_dispatch(owner, executor, objects):
    hello = objects.script("true")
    orders = [owner.order(hello) for _ in range(8)]
    owner.dispatch(*orders)
    for order in orders:
        owner.end_of(order)
    assert all(heard.partition == heard.event.token % 4 for heard in owner.heard)
