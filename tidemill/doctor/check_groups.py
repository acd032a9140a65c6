"""Checks of stream workers, executors, and the lag of each reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from tidemill.doctor.facts import Executors, Reader, Readers, Streams
from tidemill.doctor.finding import Finding, bad, listed, ok, warn

QUIET = timedelta(seconds=15)
"""Five times the interval at which an idle owner writes its clock."""
LATE = timedelta(seconds=10)
"""If a reader's oldest record has waited for longer, the reader does not keep up."""
STUCK = timedelta(seconds=60)
BETWEEN = frozenset({"preparing rebalance", "completing rebalance"})
"""States of a group during a rebalance: the brokers report no assignments, but the members keep theirs."""
START_WORKER = "start a stream worker (`python -m streams`); if one runs, its log says why it does not join the group"
START_EXECUTOR = "start `python -m executors`"
MEND_EXECUTOR = "mend what it names; the executor claims again within seconds, without a restart"


def workers(facts: Streams) -> Iterator[Finding]:
    name, names = "streams.workers", sorted(set(facts.held.values()))
    unheld = sorted(set(range(facts.partitions)) - facts.held.keys())
    if facts.state in BETWEEN:
        yield warn(
            name,
            f"the group {facts.group} is {facts.state}: its partitions are being assigned",
            "run doctor again in a few seconds; if a worker joins and leaves repeatedly, its log says why",
        )
    elif not names:
        yield bad(
            name,
            f"no stream worker holds a partition (the group {facts.group} is {facts.state}): no job runs",
            START_WORKER,
        )
    elif unheld:
        yield bad(name, f"no stream worker holds {_partitions(unheld)}: jobs there do not run", START_WORKER)
    else:
        yield ok(name, f"{listed(names)} hold all {facts.partitions} partitions")


def progress(facts: Streams) -> Iterator[Finding]:
    name = "streams.progress"
    still = [number for number, age in sorted(facts.quiet.items()) if age is None or age > QUIET]
    if still:
        holders = sorted({facts.held[each] for each in still if each in facts.held})
        longest = max((age for each in still if (age := facts.quiet[each]) is not None), default=None)
        since = f"for {longest.total_seconds():.0f} s" if longest else "yet"
        yield bad(
            name,
            f"no clock was written for {_partitions(still)} {since}, but every owner writes one every few seconds: "
            "no job there runs",
            f"see the log of {listed(holders)}, and restart it if it hangs" if holders else START_WORKER,
        )
    else:
        yield ok(name, "the owner of every partition writes its clock")


def decided_ahead(facts: Streams) -> Iterator[Finding]:
    name = "streams.decided_ahead"
    if facts.decided_ahead:
        longest, where = max(facts.decided_ahead.values()), _partitions(sorted(facts.decided_ahead))
        yield bad(
            name,
            f"the schedules of {where} are decided up to {longest.total_seconds():.0f} s ahead of the brokers' time, "
            "because a clock was wrong: until that time nothing is due there",
            "correct the clocks, then restart the stream workers and executors; see docs/clocks.md",
        )
    else:
        yield ok(name, "no schedule is decided ahead of the brokers' time")


def alive(facts: Executors) -> Iterator[Finding]:
    name = "executors.alive"
    silent = [each.name for each in facts.executors if each.state == "silent"]
    serving = [each for each in facts.executors if each.state == "running"]
    ill = "; ".join(f"{each.name} is ill: {each.ill}" for each in facts.executors if each.ill)
    if silent:
        yield warn(
            name,
            f"no heartbeats from {listed(silent)}: other executors get its runs after the lease expires",
            "check that its machine runs and can reach Kafka, and see its log; it recovers without a restart",
        )
    if not serving:
        why = f"; {ill}" if ill else ""
        yield bad(name, f"no executor accepts work: all runs wait{why}", MEND_EXECUTOR if ill else START_EXECUTOR)
    elif ill:
        yield warn(name, f"other executors get the runs of ill ones, if they are well: {ill}", MEND_EXECUTOR)
    elif not silent:
        yield ok(name, f"{len(serving)} executor(s) accept work: {listed(each.name for each in serving)}")


def classes(facts: Executors) -> Iterator[Finding]:
    name = "executors.classes"
    served = {each for executor in facts.executors if executor.state == "running" for each in executor.slots}
    missing = [each for each in facts.classes if each not in served]
    if missing and served:
        yield bad(
            name,
            f"no executor has slots for the class {listed(missing)}: runs of that class wait forever",
            f"{START_EXECUTOR} with that class in TIDEMILL_SLOTS, or remove the class (`tidemill cluster set`)",
        )
    elif served:
        yield ok(name, f"the classes {listed(facts.classes)} have executors")


def names(facts: Executors) -> Iterator[Finding]:
    shared = sorted({each.name for each in facts.executors if each.shares_its_name})
    if shared:
        yield warn(
            "executors.names",
            f"two executors have the name {listed(shared)}: their states cannot be told apart",
            "give each executor its own TIDEMILL_EXECUTOR_NAME, or unset it: then each gets its own name",
        )


def assigned(facts: Executors) -> Iterator[Finding]:
    """Partitions without an executor, in classes that have one; `classes` reports a class without executors."""
    name, fine = "executors.partitions", True
    for each, count in facts.partitions.items():
        held = facts.held.get(each, frozenset())
        unheld = sorted(set(range(count)) - held)
        if held and unheld:
            fine = False
            yield warn(
                name,
                f"no executor holds {_partitions(unheld)} of the class {each}: dispatches there wait",
                "run doctor again in a few seconds: the group assigns partitions when an executor joins or leaves",
            )
    if fine:
        yield ok(name, "executors hold the partitions of their classes")


def free(facts: Executors) -> Iterator[Finding]:
    name, running = "executors.free", [each for each in facts.executors if each.state == "running"]
    free = {each: sum(executor.free.get(each, 0) for executor in running) for each in facts.classes}
    served = {each for executor in running for each in executor.slots}
    full = [each for each in facts.classes if each in served and free[each] == 0]
    if full:
        yield warn(
            name,
            f"every slot of the class {listed(full)} is in use: new runs wait for a slot",
            "start more executors, or raise TIDEMILL_SLOTS",
        )
    elif served:
        yield ok(name, f"free slots: {', '.join(f'{count} of {name}' for name, count in free.items())}")


def sandbox(facts: Executors) -> Iterator[Finding]:
    name, running = "executors.sandbox", [each for each in facts.executors if each.state == "running"]
    open_ = [each.name for each in running if not each.is_confining]
    if open_:
        yield warn(
            name,
            f"jobs on {listed(open_)} run without a sandbox: each can read and stop what its executor can",
            "set TIDEMILL_SANDBOX=basic there, and see what the executor lacks",
        )
    elif running:
        yield ok(name, "every executor runs jobs in a sandbox")


def lacks(facts: Executors) -> Iterator[Finding]:
    """A finding for each thing that some cannot give."""
    name, running = "executors.lacks", [each for each in facts.executors if each.state == "running"]
    missing = sorted({said for each in running for said in each.lacks})
    for said in missing:
        where = listed(each.name for each in running if said in each.lacks)
        yield warn(name, f"{where}: {said}", "docs/security.md says what each needs; a job that asks for it waits")
    if running and not missing:
        yield ok(name, "executors can give whatever a job may ask for")


def alike(facts: Executors) -> Iterator[Finding]:
    name, running = "executors.alike", [each for each in facts.executors if each.state == "running"]
    given = {each.gives: listed(other.name for other in running if other.gives == each.gives) for each in running}
    if len(given) > 1:
        yield warn(
            name,
            f"executors differ: {'; '.join(f'{who}: {what}' for what, who in given.items())}",
            "let all executors of a class give the same: a run waits until one that can run it holds its partition",
        )
    elif given:
        yield ok(name, f"all executors give the same: {next(iter(given))}")


def versions(facts: Executors) -> Iterator[Finding]:
    found = sorted({each.version for each in facts.executors})
    if len(found) > 1:
        yield warn(
            "executors.versions",
            f"executors of the versions {listed(found)} run at the same time",
            "this is normal during an upgrade; after it, all executors must have one version",
        )


REMEDIES = {
    "sink": "check in the log of `python -m connectors.sink` that it runs and that Postgres answers",
    "streams": "start more stream workers; see their logs, and restart one that hangs",
    "executors": "start more executors, or raise TIDEMILL_SLOTS",
}


def lags(facts: Readers) -> Iterator[Finding]:
    for each in facts:
        yield _lag(each)


def _lag(reader: Reader) -> Finding:
    part = reader.name.partition(".")[0]
    name, who = f"lag.{reader.name}", _WHO[part].format(reader.name.partition(".")[2])
    age = reader.oldest_age or timedelta(0)
    said = f"{who} is behind by {reader.waiting} records; the oldest has waited for {age.total_seconds():.0f} s"
    if reader.waiting == 0 or age <= LATE:
        return ok(name, f"{who} keeps up")
    if age <= STUCK:
        return warn(name, said, REMEDIES[part])
    return bad(name, said, REMEDIES[part])


_WHO = {
    "sink": "the sink (the tables of runs)",
    "streams": "the streams' group",
    "executors": "the group of executors of the class {}",
}


def _partitions(numbers: list[int]) -> str:
    return f"partition {numbers[0]}" if len(numbers) == 1 else f"partitions {listed(numbers)}"


STREAM_CHECKS: tuple[Callable[[Streams], Iterator[Finding]], ...] = (workers, progress, decided_ahead)
EXECUTOR_CHECKS: tuple[Callable[[Executors], Iterator[Finding]], ...] = (
    alive,
    names,
    classes,
    assigned,
    free,
    sandbox,
    lacks,
    alike,
    versions,
)
READER_CHECKS: tuple[Callable[[Readers], Iterator[Finding]], ...] = (lags,)
