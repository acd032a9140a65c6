"""A run whose job asks for more than the executor gives waits with a reason, on the real stack."""

from __future__ import annotations

import pytest

from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

SAID_SECONDS = 15


def test_a_run_waits_for_what_its_job_asks_for_and_starts_once_the_job_asks_for_less(stack, name):
    other = f"{name}-other"
    program = stack.put_script(name, "echo done")
    stack.put_job(name, program, unveil=["r:/no/executor/allows/this"])
    stack.put_job(other, program)
    waiting = stack.request(name, f"{name}r")

    def said():
        run = stack.run(waiting)
        return run if run and run["reason_code"] else None

    run = eventually(said, SAID_SECONDS, "the reason")
    assert (run["state"], run["reason_code"], run["attempt"]) == ("queued", "no_capable_executor", 0)
    assert "the executor cannot give unveil r:/no/executor/allows/this (it allows nothing)" in run["reason"]
    assert stack.wait_until_final(stack.request(other, f"{other}r"))["state"] == "succeeded"
    assert stack.run(waiting)["state"] == "queued"
    stack.edit_job(name, unveil=[])
    assert stack.wait_until_final(waiting)["state"] == "succeeded"
    (attempt,) = stack.attempts(waiting)
    assert attempt["peak_memory"] > 0
    assert attempt["cpu_seconds"] >= 0
