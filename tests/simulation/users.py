"""What users do: define, edit, pause, resume, delete; ask for runs, stops, reruns and backfills."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import orjson

from schemas.codec import encode
from schemas.confinement import Network
from schemas.dag import DagSpec, NodeSpec
from schemas.ids import dag_run_of
from schemas.job import JobSpec
from schemas.partition import partition_of
from schemas.request import NodeEnd
from schemas.times import run_id_time
from schemas.topics import REQUESTS
from schemas.words import CatchupPolicy, OnDelete, OverlapPolicy, RunState, TriggerRule
from tests.simulation.plan import Arguments, Dice, Kind
from tests.simulation.things.database import RequestRow
from tests.simulation.things.deployment import Deployment, Size

JOBS = ("alpha", "beta", "gamma", "delta")
DAGS = ("flow",)
PERIODS = (2, 3, 5, 5, 10, 10, 15)
SHA = "0" * 64
COPIES = 600


def job(dice: Dice, name: str) -> JobSpec:
    return JobSpec(
        job_id=name,
        executable=f"s3://tidemill/{name}",
        sha256=SHA if dice.random() < 0.6 else None,
        schedule=f"*/{dice.choice(PERIODS)} * * * *" if dice.random() < 0.85 else None,
        args=(dice.choices(("short", "medium", "long"), (6, 3, 2))[0],),
        timeout=timedelta(seconds=dice.choice((4, 30))) if dice.random() < 0.3 else None,
        promote=dice.random() < 0.8,
        max_attempts=dice.choice((1, 1, 2, 3)),
        max_infra_retries=0 if dice.random() < 0.1 else 10,
        overlap_policy=dice.choice(list(OverlapPolicy)),
        buffer_limit=2,
        concurrency_limit=2,
        cancel_grace=timedelta(seconds=dice.choice((0, 5, 10))),
        on_delete=dice.choice(list(OnDelete)),
        catchup_policy=dice.choice(list(CatchupPolicy)),
        catchup_after_pause=dice.choice(list(CatchupPolicy)),
        misfire_grace=timedelta(seconds=dice.choice((10, 60))),
        network=Network.NONE if dice.random() < 0.1 else None,
    )


def dag(dice: Dice, name: str) -> DagSpec:
    nodes: list[NodeSpec] = []
    for number in range(dice.randint(2, 5)):
        before = [each.node_id for each in nodes]
        node = NodeSpec(
            node_id=f"n{number}",
            executable=f"s3://tidemill/{name}{number}",
            sha256=SHA,
            depends_on=tuple(dice.sample(before, dice.randint(1, len(before)))) if before else (),
            trigger_rule=dice.choice((TriggerRule.ALL_SUCCESS, TriggerRule.ALL_DONE, TriggerRule.NONE_FAILED)),
            args=(dice.choices(("short", "medium"), (4, 1))[0],),
            max_attempts=dice.choice((1, 2)),
        )
        nodes.append(node)
    schedule = f"*/{dice.choice((5, 10, 15))} * * * *" if dice.random() < 0.7 else None
    return DagSpec(dag_id=name, nodes=tuple(nodes), schedule=schedule, max_active_epochs=dice.choice((1, 2)))


def define(deployment: Deployment, dice: Dice, arguments: Arguments) -> None:
    name = arguments["owner"]
    deployment.database.define(dag(dice, name) if name in DAGS else job(dice, name))


def define_and_ask(deployment: Deployment, dice: Dice, arguments: Arguments) -> None:
    """In one transaction: the DAG or job is compiled at its end, so the request comes first in `cdc` (protocol I4)."""
    name, number = arguments["owner"], arguments["request"]
    named = {"dag_id": name, "job_id": None} if arguments["is_dag"] else {}
    deployment.database.request(name, number, **named)
    deployment.database.define(dag(dice, name) if arguments["is_dag"] else job(dice, name))


def edit(deployment: Deployment, dice: Dice, arguments: Arguments) -> None:
    name = arguments["owner"]
    known = deployment.database.current.get(name)
    if known is None:
        return
    if arguments["what"] == "schedule":
        deployment.database.edit(name, schedule=f"*/{dice.choice(PERIODS)} * * * *")
    elif isinstance(known, JobSpec):
        deployment.database.edit(name, **changes(dice))
    else:
        deployment.database.define(msgspec.structs.replace(dag(dice, name), schedule=known.schedule))


def changes(dice: Dice) -> dict[str, Any]:
    return {
        "overlap_policy": dice.choice(list(OverlapPolicy)),
        "args": (dice.choice(("short", "medium", "long")),),
        "max_attempts": dice.choice((1, 2)),
    }


def pause(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    deployment.database.edit(arguments["owner"], paused=True)
    deployment.world.after(arguments["seconds"], resume, deployment, arguments)


def resume(deployment: Deployment, arguments: Arguments) -> None:
    known = deployment.database.current.get(arguments["owner"])
    if known is not None and known.paused and not deployment.is_quiet:
        policy = CatchupPolicy(arguments["policy"])
        deployment.database.edit(arguments["owner"], paused=False, catchup_after_pause=policy)


def delete(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    deployment.database.delete(arguments["owner"])


def ask_for_run(deployment: Deployment, dice: Dice, arguments: Arguments) -> None:
    name, number = arguments["owner"], arguments["request"]
    is_dag = isinstance(deployment.database.current.get(name), DagSpec)
    if arguments["door"] == "table":
        deployment.database.request(name, number, **({"dag_id": name, "job_id": None} if is_dag else {}))
        return
    fields = {"request_id": number, ("dag_id" if is_dag else "job_id"): name}
    at = deployment.world.time()
    known = RequestRow(owner=name, request_id=number, at=at, fields=fields, door="topic")
    partition = dice.randrange(deployment.partitions)
    deployment.world.note("a producer", f"asks for a run of {name} in partition {partition}: {number}")
    produce(deployment, known, partition, arguments)


def produce(deployment: Deployment, known: RequestRow, partition: int, arguments: Arguments) -> None:
    """By a plain producer, twice, or in a transaction that stays open for some time and is committed or aborted."""
    brokers, value = deployment.brokers, orjson.dumps(known.fields)
    if arguments["how"] in ("once", "twice"):
        deployment.database.requests.append(known)
        for _ in range(1 if arguments["how"] == "once" else 2):
            brokers.append(REQUESTS, partition, known.owner, value)
        return
    epoch = brokers.fence("foreign")
    begun = brokers.begin("foreign", epoch)
    assert begun is not None
    log = brokers.log(REQUESTS, partition)
    log.append(known.owner, value, (), brokers.append_time(partition), begun)
    if arguments["how"] == "in a transaction":
        deployment.world.after(8.0, commit_foreign, deployment, begun, epoch, known)


def commit_foreign(deployment: Deployment, begun: Any, epoch: int, known: RequestRow) -> None:
    if deployment.brokers.end(begun, epoch):
        deployment.database.requests.append(known)


def ask_with_one_id(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    """Two jobs, one request id: both are asked for (protocol I8)."""
    for name in sorted(deployment.database.current)[:2]:
        if isinstance(deployment.database.current[name], JobSpec):
            deployment.database.request(name, arguments["request"])


def ask_with_odd_id(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    """A producer whose ids have characters that run ids are built with (protocol S2): each is refused."""
    name = arguments["owner"]
    value = orjson.dumps({"request_id": arguments["odd"], "job_id": name})
    deployment.world.note("a producer", f"asks for a run of {name}: {arguments['odd']}")
    deployment.brokers.append(REQUESTS, partition_of(name, deployment.partitions), name, value)


def repeat(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    """A producer sends one request very often: one run, and much to read (protocol I5, O6)."""
    name, number = arguments["owner"], arguments["request"]
    if not isinstance(deployment.database.current.get(name), JobSpec):
        return
    fields = {"request_id": number, "job_id": name}
    known = RequestRow(owner=name, request_id=number, at=deployment.world.time(), fields=fields, door="topic")
    deployment.database.requests.append(known)
    deployment.world.note("a producer", f"asks for a run of {name}: {number}, {COPIES} times")
    for _copy in range(COPIES):
        deployment.brokers.append(REQUESTS, partition_of(name, deployment.partitions), name, orjson.dumps(fields))


def stop(deployment: Deployment, dice: Dice, arguments: Arguments) -> None:
    """Cancel or terminate a run that the read model shows as open, or all of a job."""
    rows = deployment.sinks.postgres.runs.values()
    found = sorted(row["run_id"] for row in rows if not RunState(row["state"]).is_final and not row["node_id"])
    kind, number = arguments["how"], arguments["request"]
    if not found or dice.random() < 0.2:
        name = dice.choice(JOBS)
        deployment.database.request(name, number, kind=kind)
        return
    run_id = dice.choice(found)
    owner = run_id.replace("#", "@").partition("@")[0]
    deployment.database.request(owner, number, kind=kind, run_id=run_id)


def rerun(deployment: Deployment, dice: Dice, arguments: Arguments) -> None:
    """Of a run that has ended, with what the trigger adds from the read model."""
    rows = deployment.sinks.postgres.runs
    known = [row for row in rows.values() if RunState(row["state"]).is_final and row["attempt"] and not row["node_id"]]
    if not known:
        return
    row = dice.choice(sorted(known, key=lambda each: each["run_id"]))
    owner = row["job_id"]
    seen = {"nominal_time": row["nominal_time"], "attempt": row["attempt"]}
    deployment.database.request(owner, arguments["request"], kind="rerun", run_id=row["run_id"], **seen)


def rerun_dag(deployment: Deployment, dice: Dice, arguments: Arguments) -> None:
    rows = deployment.sinks.postgres.runs
    known = [row for row in rows.values() if row["kind"] == "dag" and RunState(row["state"]).is_final]
    if not known:
        return
    row = dice.choice(sorted(known, key=lambda each: each["run_id"]))
    nodes = {
        each["node_id"]: orjson.Fragment(encode(NodeEnd(state=RunState(each["state"]), attempt=each["attempt"])))
        for each in rows.values()
        if each["node_id"] and dag_run_of(each["run_id"]) == row["run_id"]
    }
    deployment.database.request(
        row["job_id"],
        arguments["request"],
        kind="rerun",
        job_id=None,
        dag_id=row["job_id"],
        run_id=row["run_id"],
        nominal_time=row["nominal_time"],
        nodes=orjson.dumps(nodes).decode(),
        seen_version=row["version"],
        downstream=dice.random() < 0.3,
    )


def backfill(deployment: Deployment, dice: Dice, arguments: Arguments) -> None:
    """Of the minutes before, without those that have run."""
    name = arguments["owner"]
    if not isinstance(deployment.database.current.get(name), JobSpec):
        return
    end = deployment.world.time().replace(second=0, microsecond=0)
    begin = end - timedelta(minutes=arguments["minutes"])
    ran = {
        run_id_time(datetime.fromisoformat(row["nominal_time"])): None
        for row in deployment.sinks.postgres.runs.values()
        if row["job_id"] == name and (row["attempt"] or not RunState(row["state"]).is_final)
    }
    deployment.database.request(
        name,
        arguments["request"],
        kind="backfill",
        backfill_from=begin.isoformat(),
        backfill_to=end.isoformat(),
        reprocess="none",
        max_active_runs=dice.choice((1, 100, 100)),
        run_backwards=dice.random() < 0.3,
        dry_run=False,
        ran=orjson.dumps(ran).decode(),
    )


def an_owner(dice: Dice, _: Size) -> Arguments:
    return {"owner": dice.choice(JOBS + DAGS)}


def a_pause(dice: Dice, _: Size) -> Arguments:
    policy = dice.choice(list(CatchupPolicy)).value
    return {"owner": dice.choice(JOBS + DAGS), "seconds": dice.uniform(30, 900), "policy": policy}


def an_edit(dice: Dice, _: Size) -> Arguments:
    return {"owner": dice.choice(JOBS + DAGS), "what": dice.choice(("schedule", "the rest"))}


def a_request(dice: Dice, _: Size) -> Arguments:
    how = dice.choices(("once", "twice", "in a transaction", "aborted"), (4, 2, 3, 1))[0]
    owner = dice.choice(JOBS + DAGS)
    return {"owner": owner, "request": _name(dice), "door": dice.choice(("table", "topic")), "how": how}


def a_stop(dice: Dice, _: Size) -> Arguments:
    return {"request": _name(dice), "how": dice.choice(("cancel", "cancel", "terminate"))}


def a_name(dice: Dice, _: Size) -> Arguments:
    return {"request": _name(dice)}


def a_named_request(dice: Dice, _: Size) -> Arguments:
    return {"owner": dice.choice(JOBS), "request": _name(dice)}


def an_odd_id(dice: Dice, _: Size) -> Arguments:
    return {"owner": dice.choice(JOBS), "odd": f"{dice.randrange(1000)}{dice.choice('@#/~')}{dice.randrange(9)}"}


def a_backfill(dice: Dice, _: Size) -> Arguments:
    return {"owner": dice.choice(JOBS), "request": _name(dice), "minutes": dice.choice((30, 240, 240))}


def a_new_one(dice: Dice, _: Size) -> Arguments:
    is_dag = dice.random() < 0.5
    return {"owner": f"new{dice.randrange(1000)}", "request": _name(dice), "is_dag": is_dag}


def _name(dice: Dice) -> str:
    return f"r{dice.randrange(100_000)}"


KINDS = {
    "a user edits": Kind(3, an_edit, edit),
    "a user pauses, and resumes later": Kind(3, a_pause, pause),
    "a user deletes": Kind(1, an_owner, delete),
    "a user defines anew": Kind(1, an_owner, define),
    "a user defines and asks at once": Kind(1.5, a_new_one, define_and_ask),
    "a user asks for a run": Kind(4, a_request, ask_for_run),
    "a user asks for two jobs with one id": Kind(1, a_name, ask_with_one_id),
    "a producer asks with an odd id": Kind(0.5, an_odd_id, ask_with_odd_id),
    "a producer repeats a request": Kind(0.5, a_named_request, repeat),
    "a user stops": Kind(4, a_stop, stop),
    "a user runs again": Kind(2, a_name, rerun),
    "a user runs a DAG again": Kind(1, a_name, rerun_dag),
    "a user backfills": Kind(1.5, a_backfill, backfill),
}
