"""A request id is one of its job or DAG: the same one for two jobs is two requests, in one partition as in two."""

from __future__ import annotations

import orjson
import pytest

from schemas.words import RunState
from tests.support.simulated.dag_scenario import node
from tests.support.simulated.log import START, Driven, Log

ASKED = {"reprocess": "none", "max_active_runs": 1, "run_backwards": False, "dry_run": False, "ran": None}


def jobs(*names: str, **fields: object) -> tuple[Log, Driven]:
    log = Log()
    for version, name in enumerate(names):
        log.define(version + 1, job_id=name, **fields)
    owner = log.recover()
    log.turn(owner)
    return log, owner


@pytest.mark.parametrize("is_recovered", [False, True])
def test_one_id_for_two_jobs_runs_both_and_each_once(*, is_recovered: bool) -> None:
    log, owner = jobs("mail", "print")
    for _ in range(2):
        owner.offer(log.request("invoice-42", job_id="mail", owner="mail"))
        owner.offer(log.alien(orjson.dumps({"request_id": "invoice-42", "job_id": "print"}), key=b"print"))
        log.turn(owner)
        owner = log.recover() if is_recovered else owner
    log.turn(owner)
    assert sorted(each.run_id for each in log.dispatches()) == ["mail#invoice-42", "print#invoice-42"]


def test_it_waits_for_the_definition_of_either() -> None:
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


def test_a_job_and_a_dag_may_be_asked_for_under_one_id() -> None:
    log, owner = jobs("job")
    owner.offer(log.define_dag(node("a"), version=2))
    owner.offer(log.request("r"))
    owner.offer(log.request_dag("r"))
    log.turn(owner)
    assert sorted(each.run_id for each in log.dispatches()) == ["dag#r/a", "job#r"]


def test_two_backfills_under_one_id_do_not_meet() -> None:
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
