"""A request id belongs to its job or DAG: the same id for two jobs is two requests, in one partition or in two."""

from __future__ import annotations

import orjson
import pytest

from schemas.words import RunState
from tests.support.simulated.dag_scenario import node
from tests.support.simulated.log import START, DrivenSession, Log

ASKED = {"reprocess": "none", "max_active_runs": 1, "run_backwards": False, "dry_run": False, "ran": None}


def jobs(*names: str, **fields: object) -> tuple[Log, DrivenSession]:
    log = Log()
    for version, name in enumerate(names):
        log.define(version + 1, job_id=name, **fields)
    owner = log.recover()
    log.turn(owner)
    return log, owner


@pytest.mark.parametrize("is_recovered", [False, True])
def test_one_request_id_for_two_jobs_runs_each_job_once(*, is_recovered: bool) -> None:
    log, owner = jobs("mail", "print")
    for _ in range(2):
        owner.offer(log.request("invoice-42", job_id="mail", owner="mail"))
        owner.offer(log.append_public(orjson.dumps({"request_id": "invoice-42", "job_id": "print"}), key=b"print"))
        log.turn(owner)
        owner = log.recover() if is_recovered else owner
    log.turn(owner)
    assert sorted(each.run_id for each in log.dispatches()) == ["mail#invoice-42", "print#invoice-42"]


def test_requests_with_one_id_wait_for_their_own_definitions() -> None:
    log, owner = jobs("mail")
    owner.offer(log.request("r", job_id="print", owner="print"))
    owner.offer(log.request("r", job_id="post", owner="post"))
    log.turn(owner)
    owner = log.recover()
    owner.offer(log.define(2, job_id="print"))
    log.turn(owner)
    log.turn(owner, 61)
    assert [each.run_id for each in log.dispatches()] == ["print#r"]
    assert not owner.state.durable.requests["post#r"].parked


def test_one_request_id_can_run_a_job_and_a_dag() -> None:
    log, owner = jobs("job")
    owner.offer(log.define_dag(node("a"), version=2))
    owner.offer(log.request("r"))
    owner.offer(log.request_dag("r"))
    log.turn(owner)
    assert sorted(each.run_id for each in log.dispatches()) == ["dag#r/a", "job#r"]


def test_two_backfills_with_one_request_id_are_separate() -> None:
    log, owner = jobs("mail", "print", schedule="0 * * * * *")
    stretch = {"backfill_from": START.replace(hour=11).isoformat(), "backfill_to": START.isoformat()}
    for name in ("mail", "print"):
        owner.offer(log.request("bf", kind="backfill", job_id=name, owner=name, **stretch, **ASKED))
    log.turn(owner)
    log.turn(owner, 1)
    owner = log.recover()
    owner.offer(log.request("stop", kind="cancel", run_id="mail#bf", job_id="mail", owner="mail"))
    for _ in range(5):
        log.turn(owner, 1)
    states = {run_id: each.state for run_id, each in log.statuses().items()}
    assert (states["mail#bf"], states["print#bf"]) == (RunState.CANCELLING, RunState.RUNNING)
