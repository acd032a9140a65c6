"""What a load does, by one seed: which jobs and DAGs there are, and the order of all acts. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

import msgspec

from tests.chaos.judge.history import Spec

POLICIES = ("skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow_all")
SECOND, FIVE, MINUTE = "* * * * * *", "*/5 * * * * *", "* * * * *"
SCHEDULES = (FIVE, "*/7 * * * * *", "*/10 * * * * *", "@every 6s")
DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
CHAIN = {"a": (), "b": ("a",), "c": ("b",)}
BAD_SCHEDULE = "61 * * * * *"
PREFIX = "chaos."


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """How the processes of a job behave, and what its row says besides `Spec`."""

    least_ms: int = 50
    most_ms: int = 500
    fails: int = 0
    """Percent of the attempts."""
    stubborn: bool = False
    """It writes TERM down and goes on, until KILL."""
    fenced: bool = False
    """It has an effect in Postgres, behind the fence."""
    max_attempts: int = 1


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    spec: Spec
    behaviour: Behaviour = Behaviour()


class Define(msgspec.Struct, frozen=True, kw_only=True):
    owner: Owner
    deleted: bool = False


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    owner: str
    request_id: str
    is_dag: bool = False
    kind: Literal["run", "cancel", "terminate", "rerun"] = "run"
    door: Literal["sql", "kafka"] = "sql"
    run_id: str | None = None
    run_in_seconds: float | None = None


Step = Define | Ask


def owners(seed: int) -> list[Owner]:
    """The jobs and DAGs of a load. Their ids have the seed, so that two loads on one stack do not mix."""
    chance = random.Random(seed)
    prefix = f"{PREFIX}{seed}."
    scheduled = [
        Owner(
            name=f"{prefix}{policy}",
            spec=Spec(schedule=chance.choice(SCHEDULES), overlap_policy=policy),
            behaviour=Behaviour(least_ms=200, most_ms=7_000, stubborn=policy == "cancel_other"),
        )
        for policy in POLICIES
    ]
    others = {
        "second": (Spec(schedule=SECOND, overlap_policy="allow_all"), Behaviour()),
        "minute": (Spec(schedule=MINUTE), Behaviour(most_ms=2_000)),
        "retried": (Spec(schedule=FIVE, overlap_policy="allow_all"), Behaviour(fails=40, max_attempts=4)),
        "fenced": (Spec(schedule=FIVE, overlap_policy="allow_all"), Behaviour(fenced=True, max_attempts=10)),
        "edited": (Spec(schedule=FIVE, overlap_policy="allow_all"), Behaviour()),
        "paused": (Spec(schedule=FIVE, overlap_policy="allow_all"), Behaviour()),
        "deleted": (Spec(schedule=FIVE, overlap_policy="allow_all", on_delete="cancel"), Behaviour(most_ms=4_000)),
        "asked": (Spec(overlap_policy="allow_all"), Behaviour(fails=10, max_attempts=3)),
        "stopped": (Spec(overlap_policy="allow_all"), Behaviour(least_ms=3_000, most_ms=9_000)),
        "fenced-asked": (Spec(overlap_policy="allow_all"), Behaviour(fenced=True, max_attempts=10)),
        "diamond": (Spec(schedule="*/20 * * * * *", nodes=DIAMOND), Behaviour(most_ms=1_500)),
        "chain": (Spec(nodes=CHAIN), Behaviour(fails=15, most_ms=800)),
    }
    return [
        *scheduled,
        *(Owner(name=f"{prefix}{name}", spec=spec, behaviour=how) for name, (spec, how) in others.items()),
    ]


def steps(seed: int) -> Iterator[Step]:
    """All acts after the first definitions, without end."""
    chance = random.Random(f"{seed}/steps")
    known = {each.name.rpartition(".")[2]: each for each in owners(seed)}
    number = 0
    while True:
        number += 1
        request_id = f"r{number}"
        match chance.choices(("ask", "kafka", "dag", "stop", "rerun", "edit", "wrong"), (30, 25, 4, 12, 6, 8, 3))[0]:
            case "ask" | "kafka" as door:
                yield _ask(chance, known, request_id, "kafka" if door == "kafka" else "sql")
            case "dag":
                yield Ask(owner=known["chain"].name, request_id=request_id, is_dag=True)
            case "stop":
                yield from _stop(chance, known, request_id)
            case "rerun":
                yield from _rerun(chance, known, request_id)
            case "edit":
                step = _edit(chance, known)
                known[step.owner.name.rpartition(".")[2]] = step.owner
                yield step
            case _:
                yield from _wrong(chance, known, request_id)


def _ask(chance: random.Random, known: dict[str, Owner], request_id: str, door: Literal["sql", "kafka"]) -> Ask:
    later = chance.choice((None, None, None, 2.0, 6.5)) if door == "sql" else None
    name = known[chance.choice(("asked", "asked", "asked", "fenced-asked", "skip", "allow_all"))].name
    return Ask(owner=name, request_id=request_id, door=door, run_in_seconds=later)


def _stop(chance: random.Random, known: dict[str, Owner], request_id: str) -> Iterator[Ask]:
    """A long run, and its end; sometimes all open runs of a job."""
    name = known["stopped"].name
    yield Ask(owner=name, request_id=f"{request_id}.run")
    kind: Literal["cancel", "terminate"] = chance.choice(("cancel", "terminate"))
    run_id = f"{name}#{request_id}.run" if chance.random() < 0.8 else None
    yield Ask(owner=name, request_id=f"{request_id}.stop", kind=kind, run_id=run_id)


def _rerun(chance: random.Random, known: dict[str, Owner], request_id: str) -> Iterator[Ask]:
    """Of a run that was asked for just now, or a while ago: the database refuses it if the run is open or unknown."""
    name = known["asked"].name
    before = max(int(request_id[1:]) - chance.randrange(5, 40), 1)
    yield Ask(owner=name, request_id=request_id, kind="rerun", run_id=f"{name}#r{before}")


def _edit(chance: random.Random, known: dict[str, Owner]) -> Define:
    which = chance.choice(("edited", "edited", "paused", "paused", "deleted"))
    owner = known[which]
    match which:
        case "edited":
            schedule = chance.choice(SCHEDULES)
            return Define(owner=_with(owner, schedule=schedule))
        case "paused":
            return Define(owner=_with(owner, paused=not owner.spec.paused))
        case _:
            gone = owner.spec.schedule is None
            return Define(owner=_with(owner, schedule=FIVE if gone else None), deleted=not gone)


def _with(owner: Owner, **changes: object) -> Owner:
    return msgspec.structs.replace(owner, spec=msgspec.structs.replace(owner.spec, **changes))


def without_schedule(owner: Owner) -> Owner:
    """Nothing of it is due any more."""
    return _with(owner, schedule=None, paused=False)


def _wrong(chance: random.Random, known: dict[str, Owner], request_id: str) -> Iterator[Step]:
    """The database, or the owner, must refuse it."""
    match chance.randrange(3):
        case 0:
            yield Define(owner=_with(known["edited"], schedule=BAD_SCHEDULE))
        case 1:
            yield Ask(
                owner=known["asked"].name,
                request_id=f"{request_id}.r",
                kind="rerun",
                run_id=known["asked"].name + "#no",
            )
        case _:
            yield Ask(owner=known["asked"].name + ".nobody", request_id=request_id)
