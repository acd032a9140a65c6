"""From a row in Postgres to a process and back to rows, with every kind of end, on the real stack."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from urllib.parse import urlsplit

import orjson
import pytest

from infra import stack as infra_stack
from schemas.topics import STATUS
from tests.support.observed import Observed
from tests.support.promtool import check_metrics
from tests.support.stack_client import FINAL_SECONDS
from tests.support.waiting import eventually
from tidemill.cli import run as tidemill

pytestmark = pytest.mark.integration

LONG_LINES = 2_000
SECRET = "hush-4711"
FIFTEEN_STEPS = """cd $TIDEMILL_CHECKPOINT; touch steps; n=$(wc -l < steps); echo $TIDEMILL_TIMEOUT_SECONDS $n
while [ $n -lt 15 ]; do sleep 0.2; n=$((n+1)); echo $n >> steps; done; cat steps"""
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def ask(stack, name):
    """Puts a job with this script, requests one run, and returns its id."""

    def ask(script: str, **columns: object) -> str:
        stack.put_job(name, stack.put_script(name, script), **columns)
        return stack.request(name, f"{name}r")

    return ask


def ends(stack, run_id):
    return [each["ended_as"] for each in stack.attempts(run_id)]


def states(stack, run_id):
    return [each["state"] for each in stack.transitions(run_id)]


def test_a_row_becomes_a_process_and_every_column_of_its_run_is_right(stack, name):
    script = "#!/bin/sh\necho done\n"
    stack.put_job(name, stack.put_object(f"tests/{name}", script.encode()), tenant="acme")
    run_id = stack.request(name, f"{name}r")
    run = stack.wait_until_final(run_id)
    (asked,) = stack.rows("select * from requests where job_id = %s", [name])
    (attempt,) = stack.attempts(run_id)
    assert timedelta(0) <= asked["created_at"] - run["nominal_time"] < timedelta(milliseconds=1)
    assert run["nominal_time"] == run["scheduled_time"] <= run["queued_at"] <= attempt["dispatched_at"]
    assert attempt["dispatched_at"] <= run["started_at"] <= run["finished_at"]
    assert re.fullmatch(r"executor-[01]\.[0-9a-f]+", run["executor_id"])
    assert {column for column, value in run.items() if value is None} == {
        *("dag_id", "dag_version", "node_id", "nodes", "next_nodes", "log_uri", "rerun_id", "traceparent"),
        *("reason", "reason_code", "blocked_by"),
        *("result", "result_bytes", "result_sha256", "result_uri"),
        *("missed_from", "missed_to", "missed_count", "missed_at_least"),
    }
    words = ("run_id", "job_id", "tenant", "kind", "state", "attempt", "timeout_class", "exit_code", "request_id")
    assert [run[word] for word in words] == [
        *(f"{name}#{name}r", name, "acme", "requested", "succeeded", 1, "2s", 0, f"{name}r"),
    ]
    assert (attempt["ended_as"], attempt["output"], attempt["output_bytes"]) == ("succeeded", "done\n", 5)
    assert attempt["sha256"] == hashlib.sha256(script.encode()).hexdigest()
    assert (attempt["started_at"], attempt["finished_at"]) == (run["started_at"], run["finished_at"])
    assert states(stack, run_id) == ["queued", "running", "succeeded"]
    assert stack.transitions(run_id)[-1]["version"] == run["version"]


def test_stream_workers_show_all_partitions_and_the_time_from_a_commit_to_its_effect(stack, ask):
    """Of a real commit, captured by the real connector."""
    workers = [each for each in infra_stack.status(stack.data).processes if each["name"].startswith("stream-")]
    ports = [Observed(urlsplit(each["metrics"]).netloc) for each in workers]

    def total(series: str) -> float:
        return sum(value for port in ports for value in port.series(series).values())

    eventually(lambda: all(port.is_ready for port in ports), FINAL_SECONDS, "ready workers")
    rows, seconds = total("tidemill_cdc_lag_seconds_count"), total("tidemill_cdc_lag_seconds_sum")
    stack.wait_until_final(ask("true"))
    rows, seconds = total("tidemill_cdc_lag_seconds_count") - rows, total("tidemill_cdc_lag_seconds_sum") - seconds
    assert rows >= 1
    assert 0 < seconds / rows < FINAL_SECONDS
    assert total("tidemill_partition_owned") == stack.connections.partitions
    defined = "select (select count(*) from jobs) + (select count(*) from dags) as n"
    eventually(lambda: total("tidemill_jobs") == stack.rows(defined)[0]["n"], FINAL_SECONDS, "all jobs and DAGs")
    for port in ports:
        assert port.is_live
        check_metrics(port.get("/metrics")[1])


def test_the_records_of_status_and_runs_are_plain_json(stack, ask, name):
    run_id = ask("true")
    stack.wait_until_final(run_id)
    (*_, last) = [orjson.loads(each.value()) for each in stack.read(STATUS) if each.key().decode() == run_id]
    for field in ("nominal_time", "scheduled_time", "queued_at", "started_at", "finished_at"):
        assert INSTANT.fullmatch(last[field]), field
    assert [each["state"] for each in last["transitions"]] == ["queued", "running", "succeeded"]
    assert [each["end"] for each in last["attempts"]] == ["succeeded"]
    (dispatch,) = [orjson.loads(each.value()) for each in stack.read("runs.2s") if each.key().decode() == run_id]
    assert [dispatch[field] for field in ("run_id", "job_id", "attempt")] == [run_id, name, 1]
    assert dispatch["nominal_time"] == last["nominal_time"]


def test_the_process_gets_args_environment_and_payload(stack, name):
    script = (
        'printf "%s|" "$1" "$2" "$COLOUR" "$TIDEMILL_RUN_ID" "$TIDEMILL_ATTEMPT" "$TIDEMILL_TIMEOUT_SECONDS"\n'
        'printf "%s|" "$TIDEMILL_FENCING_TOKEN" "$TIDEMILL_NOMINAL_TIME" "${TIDEMILL_POSTGRES_DSN:-none}"; cat'
    )
    executable = stack.put_script(name, script)
    stack.put_job(name, executable, args=["a b", "ü"], env={"COLOUR": "blue"}, payload={"n": 1}, timeout="9 s")
    first, second = stack.request(name, f"{name}1"), stack.request(name, f"{name}2", payload=["other"])
    for run_id, payload in ((first, {"n": 1}), (second, ["other"])):
        run = stack.wait_until_final(run_id)
        (attempt,) = stack.attempts(run_id)
        *told, token, nominal, inherited, said = attempt["output"].split("|")
        assert told == ["a b", "ü", "blue", run_id, "1", "9"]
        assert int(token) == attempt["token"]
        assert nominal == run["nominal_time"].isoformat(timespec="milliseconds").replace("+00:00", "Z")
        assert inherited == "none"
        assert orjson.loads(said) == payload


def test_a_secret_reaches_the_process_and_nothing_else(stack, ask, name):
    (stack.data / "secrets" / "token").write_text(f"{SECRET}\n")
    run_id = ask(f'[ "$TOKEN" = "{SECRET}" ] && echo known', env={"TOKEN": "secret:token"})
    assert stack.wait_until_final(run_id)["state"] == "succeeded"
    assert stack.attempts(run_id)[0]["output"] == "known\n"
    for log in (stack.data / "logs").glob("*.log"):
        assert SECRET not in log.read_text(errors="replace"), log
    for topic in ("status", "events", "runs.2s", "state", "cdc"):
        assert not [each for each in stack.read(topic) if SECRET.encode() in (each.value() or b"")], topic


def test_a_missing_secret_rejects_the_attempt_with_a_reason(stack, ask):
    run = stack.wait_until_final(ask("true", env={"TOKEN": "secret:absent"}, max_infra_retries=0))
    assert (run["state"], run["started_at"]) == ("dead", None)
    assert "secret 'absent'" in run["reason"]


def test_more_than_eight_kilobytes_of_output_are_kept_in_s3(stack, ask, capfdbinary):
    run_id = ask(f'i=0; while [ $i -lt {LONG_LINES} ]; do echo "line $i"; i=$((i+1)); done')
    run = stack.wait_until_final(run_id)
    (attempt,) = stack.attempts(run_id)
    whole = "".join(f"line {number}\n" for number in range(LONG_LINES))
    assert run["log_uri"] == attempt["log_uri"]
    assert attempt["log_uri"].startswith("s3://tidemill/logs/")
    assert attempt["output_bytes"] == len(whole)
    assert len(attempt["output"]) <= 8 * 1024
    assert attempt["output"].startswith("line 0\n")
    assert attempt["output"].endswith(f"line {LONG_LINES - 1}\n")
    assert tidemill(["logs", run_id, "--data", str(stack.data)]) == 0
    assert capfdbinary.readouterr().out.decode() == whole


def test_a_run_that_exceeds_its_class_continues_in_the_next_from_its_checkpoint(stack, ask):
    run_id = ask(FIFTEEN_STEPS)
    run = stack.wait_until_final(run_id)
    assert (run["state"], run["attempt"], run["timeout_class"], run["exit_code"]) == ("succeeded", 2, "10s", 0)
    first, second = stack.attempts(run_id)
    assert (first["ended_as"], first["timeout_class"]) == ("promoted", "2s")
    assert (second["ended_as"], second["timeout_class"]) == ("succeeded", "10s")
    assert first["output"] == "2 0\n"
    (limit, done), *steps = (line.split() for line in second["output"].splitlines())
    assert (limit, steps) == ("10", [[str(number)] for number in range(1, 16)])
    assert 0 < int(done) < 15
    assert timedelta(seconds=2) <= first["finished_at"] - first["started_at"] < timedelta(seconds=5)
    assert states(stack, run_id) == ["queued", "running", "queued", "running", "succeeded"]


def test_a_run_can_start_in_the_class_of_24_hours(stack, ask):
    run = stack.wait_until_final(ask("echo $TIDEMILL_TIMEOUT_SECONDS", timeout="20 h"))
    assert (run["state"], run["timeout_class"]) == ("succeeded", "24h")
    assert stack.attempts(run["run_id"])[0]["output"] == "72000\n"


def test_a_run_that_exceeds_its_timeout_is_killed_with_its_children(stack, ask, journal):
    run = stack.wait_until_final(ask(f"(trap '' TERM; sleep 4; echo alive >> {journal}) & sleep 30", timeout="1 s"))
    assert (run["state"], run["attempt"], run["timeout_class"]) == ("timed_out", 1, "2s")
    assert ends(stack, run["run_id"]) == ["timed_out"]
    assert timedelta(seconds=1) <= run["finished_at"] - run["started_at"] < timedelta(seconds=4)
    assert journal.read_text() == ""


def test_a_flaky_job_is_retried_with_growing_waits_until_it_succeeds(stack, ask):
    run_id = ask('[ "$TIDEMILL_ATTEMPT" -ge 3 ] || exit 7', max_attempts=3, initial_interval="300 ms", retry_jitter=0)
    run = stack.wait_until_final(run_id)
    assert (run["state"], run["attempt"], run["exit_code"]) == ("succeeded", 3, 0)
    assert ends(stack, run_id) == ["failed", "failed", "succeeded"]
    retry = ["queued", "running", "retry_wait"]
    assert states(stack, run_id) == [*retry, *retry, "queued", "running", "succeeded"]
    first, second, third = stack.attempts(run_id)
    assert second["dispatched_at"] - first["finished_at"] >= timedelta(seconds=0.3)
    assert third["dispatched_at"] - second["finished_at"] >= timedelta(seconds=0.6)
    assert first["token"] < second["token"] < third["token"]


@pytest.mark.parametrize(
    ("columns", "state", "attempts", "reason"),
    [
        ({}, "failed", 1, "exit code 3"),
        ({"max_attempts": 5, "non_retryable_exit_codes": [3]}, "failed", 1, "not retried"),
        ({"max_attempts": 2, "initial_interval": "50 ms"}, "dead", 2, "all 2 attempts are used up"),
    ],
)
def test_a_failed_run_ends_as_its_policy_says(stack, ask, columns, state, attempts, reason):
    run = stack.wait_until_final(ask("exit 3", **columns))
    assert (run["state"], run["attempt"], run["exit_code"]) == (state, attempts, 3)
    assert reason in run["reason"]


def test_an_exit_by_a_signal_names_the_signal(stack, ask):
    run = stack.wait_until_final(ask("kill -SEGV $$"))
    assert (run["state"], run["exit_code"]) == ("failed", 139)
    assert (run["reason"], run["reason_code"]) == ("exit code 139 (SIGSEGV)", "signal")


def test_an_attempt_with_a_missing_executable_is_rejected_until_it_exists(stack, name):
    key = f"tests/{name}late"
    stack.put_job(name, f"s3://tidemill/{key}", initial_interval="500 ms", max_interval="500 ms")
    run_id = stack.request(name, f"{name}r")
    waiting = stack.wait_for_state(run_id, "retry_wait")
    assert key in waiting["reason"]
    stack.put_object(key, b"#!/bin/sh\n")
    run = stack.wait_until_final(run_id)
    assert run["state"] == "succeeded"
    *rejected, last = ends(stack, run_id)
    assert set(rejected) == {"rejected"}
    assert last == "succeeded"


def test_a_missing_executable_uses_up_the_infra_budget(stack, name):
    stack.put_job(name, f"s3://tidemill/tests/{name}never", initial_interval="50 ms", max_infra_retries=1)
    run = stack.wait_until_final(stack.request(name, f"{name}r"))
    assert (run["state"], run["attempt"], run["started_at"]) == ("dead", 2, None)
    assert ends(stack, run["run_id"]) == ["rejected", "rejected"]


def test_an_executable_with_another_checksum_never_runs(stack, ask, name):
    run = stack.wait_until_final(ask("true", sha256="0" * 64, max_infra_retries=0))
    assert (run["state"], run["started_at"]) == ("dead", None)
    assert "checksum" in run["reason"]
