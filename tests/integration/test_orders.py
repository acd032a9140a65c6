"""Rows that stop runs and run them again, on the real stack."""

from __future__ import annotations

from datetime import timedelta

import pytest

pytestmark = pytest.mark.integration

STUBBORN = "trap '' TERM; while :; do sleep 0.05; done"
POLITE = "trap 'echo stopped by request; exit 0' TERM; while :; do sleep 0.05; done"


@pytest.fixture
def running(stack, name):
    """Puts a job with this script, asks for one run of it, and returns that run's id once it runs."""

    def start(script: str, **columns: object) -> str:
        stack.put_job(name, stack.put_script(name, script), timeout="10 s", **columns)
        run_id = stack.request(name, f"{name}r")
        stack.in_state(run_id, "running")
        return run_id

    return start


def order(stack, kind, request_id, **columns):
    stack.insert("requests", kind=kind, request_id=request_id, **columns)


def test_a_process_that_obeys_ends_its_run_as_cancelled_whatever_its_exit_code(stack, name, running):
    run_id = running(POLITE)
    order(stack, "cancel", f"{name}c", run_id=run_id, note="not needed")
    run = stack.ended(run_id)
    assert (run["state"], run["reason"], run["exit_code"]) == ("cancelled", "cancelled: not needed", 0)
    (attempt,) = stack.attempts(run_id)
    assert attempt["ended_as"] == "cancelled"
    assert attempt["output"].endswith("stopped by request\n")  # the shell may tell of its child's end before
    states = [each["state"] for each in stack.transitions(run_id)]
    assert states == ["queued", "running", "cancelling", "cancelled"]


@pytest.mark.parametrize(("kind", "grace"), [("cancel", "0.5 s"), ("terminate", "1 h")])
def test_a_process_that_does_not_obey_is_killed(stack, name, running, kind, grace):
    run_id = running(STUBBORN, cancel_grace=grace)
    order(stack, kind, f"{name}c", job_id=name)
    assert (stack.ended(run_id)["state"], stack.run(run_id)["exit_code"]) == ("cancelled", 137)


def test_what_is_for_later_is_cancelled_at_once(stack, name):
    stack.put_job(name, stack.put_script(name, "true"))
    run_id = stack.request(name, f"{name}r", run_at=stack.now() + timedelta(hours=1))
    stack.in_state(run_id, "queued")
    order(stack, "cancel", f"{name}c", run_id=run_id)
    assert stack.ended(run_id)["state"] == "cancelled"
    assert stack.attempts(run_id) == []


def test_a_deleted_job_takes_its_runs_along_if_it_says_so(stack, name, running):
    run_id = running(POLITE, on_delete="cancel")
    stack.delete_job(name)
    assert stack.ended(run_id)["reason"] == "cancelled: its job was deleted"


def test_a_run_that_failed_runs_again_and_keeps_its_story(stack, name):
    script = '[ "$TIDEMILL_ATTEMPT" = 2 ] && [ "$(cat)" = 7 ]'
    stack.put_job(name, stack.put_script(name, script))
    run_id = stack.request(name, f"{name}r", payload=7)
    assert stack.ended(run_id)["state"] == "failed"
    order(stack, "rerun", f"{name}again", run_id=run_id)
    run = stack.in_state(run_id, "succeeded")
    assert (run["attempt"], run["rerun_id"]) == (2, f"{name}again")
    assert [each["ended_as"] for each in stack.attempts(run_id)] == ["failed", "succeeded"]
    states = [each["state"] for each in stack.transitions(run_id)]
    assert states == ["queued", "running", "failed", "queued", "running", "succeeded"]
