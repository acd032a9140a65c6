"""Requests that stop and rerun runs, on the real stack."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.trace_ids import traceparent_of_process
from tests.support.request_cases import TRACEPARENT

pytestmark = pytest.mark.integration

STUBBORN = "trap '' TERM; while :; do sleep 0.05; done"
POLITE = "trap 'echo stopped by request; exit 0' TERM; while :; do sleep 0.05; done"


@pytest.fixture
def running(stack, name):
    """Puts a job with this script, requests one run, and returns its id once it runs."""

    def start(script: str, **columns: object) -> str:
        stack.put_job(name, stack.put_script(name, script), timeout="10 s", **columns)
        run_id = stack.request(name, f"{name}r")
        stack.wait_for_state(run_id, "running")
        return run_id

    return start


def order(stack, kind, request_id, **columns):
    stack.insert("requests", kind=kind, request_id=request_id, **columns)


def test_a_run_whose_process_obeys_term_is_cancelled_whatever_its_exit_code(stack, name, running):
    run_id = running(POLITE)
    order(stack, "cancel", f"{name}c", run_id=run_id, note="not needed")
    run = stack.wait_until_final(run_id)
    assert (run["state"], run["reason"], run["exit_code"]) == ("cancelled", "cancelled: not needed", 0)
    (attempt,) = stack.attempts(run_id)
    assert attempt["ended_as"] == "cancelled"
    assert attempt["output"].endswith("stopped by request\n")  # the shell may print its child's end first
    states = [each["state"] for each in stack.transitions(run_id)]
    assert states == ["queued", "running", "cancelling", "cancelled"]


@pytest.mark.parametrize(("kind", "grace"), [("cancel", "0.5 s"), ("terminate", "1 h")])
def test_a_process_that_ignores_term_is_killed(stack, name, running, kind, grace):
    run_id = running(STUBBORN, cancel_grace=grace)
    order(stack, kind, f"{name}c", job_id=name)
    assert (stack.wait_until_final(run_id)["state"], stack.run(run_id)["exit_code"]) == ("cancelled", 137)


def test_a_request_for_later_is_cancelled_at_once(stack, name):
    stack.put_job(name, stack.put_script(name, "true"))
    run_id = stack.request(name, f"{name}r", run_at=stack.now() + timedelta(hours=1))
    stack.wait_for_state(run_id, "queued")
    order(stack, "cancel", f"{name}c", run_id=run_id)
    assert stack.wait_until_final(run_id)["state"] == "cancelled"
    assert stack.attempts(run_id) == []


def test_deleting_a_job_cancels_its_runs_if_on_delete_says_so(stack, name, running):
    run_id = running(POLITE, on_delete="cancel")
    stack.delete_job(name)
    assert stack.wait_until_final(run_id)["reason"] == "cancelled: its definition was deleted"


def test_a_rerun_of_a_failed_run_keeps_its_history(stack, name):
    script = '[ "$TIDEMILL_ATTEMPT" = 2 ] && [ "$(cat)" = 7 ]'
    stack.put_job(name, stack.put_script(name, script))
    run_id = stack.request(name, f"{name}r", payload=7)
    assert stack.wait_until_final(run_id)["state"] == "failed"
    order(stack, "rerun", f"{name}again", run_id=run_id)
    run = stack.wait_for_state(run_id, "succeeded")
    assert (run["attempt"], run["rerun_id"]) == (2, f"{name}again")
    assert [each["ended_as"] for each in stack.attempts(run_id)] == ["failed", "succeeded"]
    states = [each["state"] for each in stack.transitions(run_id)]
    assert states == ["queued", "running", "failed", "queued", "running", "succeeded"]


def test_the_attempts_of_a_run_and_of_its_rerun_are_in_the_trace_of_the_request(stack, name):
    stack.put_job(name, stack.put_script(name, 'echo "$TRACEPARENT"; [ "$TIDEMILL_ATTEMPT" = 2 ]'))
    run_id = stack.request(name, f"{name}r", traceparent=TRACEPARENT)
    assert stack.wait_until_final(run_id)["traceparent"] == TRACEPARENT
    order(stack, "rerun", f"{name}again", run_id=run_id)
    assert stack.wait_for_state(run_id, "succeeded")["traceparent"] == TRACEPARENT
    spans = [traceparent_of_process(run_id, attempt, TRACEPARENT) for attempt in (1, 2)]
    assert [each["output"] for each in stack.attempts(run_id)] == [f"{each}\n" for each in spans]
