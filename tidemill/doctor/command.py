"""`tidemill doctor`: checks every part, follows a probe run through all of them, and prints findings with remedies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from infra.progress import progress
from schemas.settings import Connections
from tidemill.doctor import hops, look_groups, look_jobs, look_kafka, look_postgres, look_services, look_settings
from tidemill.doctor.checks import findings
from tidemill.doctor.facts import Facts, Kafka, Settings, Silent, Streams
from tidemill.doctor.finding import Finding, Level, bad, is_healthy
from tidemill.doctor.hops import Journey
from tidemill.doctor.probe import clock_difference, probe
from tidemill.output import console, say, show_json, table
from tidemill.target import DEFAULT_DATA, AsJson, Data, connections, wall_clock

LOOKS = 4
"""The number of threads: they mostly wait for answers."""
HOP_COLUMNS = ("hop", "who", "until", "took", "state")
FINDING_COLUMNS = ("level", "name", "finding")


def doctor(
    data: Data = DEFAULT_DATA,
    limit: Annotated[float, typer.Option(min=0.1, help="The most seconds for one hop of the probe run.")] = 15.0,
    no_probe: Annotated[bool, typer.Option("--no-probe", help="Only check; start no probe run.")] = False,
    show_all: Annotated[bool, typer.Option("--all", help="Show also the checks that are ok.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check every part, measure every hop with a probe run, and print what to do. Exit with 1 if unhealthy."""
    target = connections(data)
    with progress("Checking every part"):
        facts = look(target, data)
    with progress("Following a run"):
        journey = None if no_probe else probe_if_possible(target, facts, timedelta(seconds=limit))
    found = [*findings(facts), *probe_findings(journey)]
    if as_json:
        show_json(report(found, journey))
    else:
        show(found, journey, show_all=show_all)
    if not is_healthy(found):
        raise typer.Exit(1)


def look(target: Connections, data: Path) -> Facts:
    """Look at all parts in parallel; the looks that need the brokers' time follow the brokers."""
    settings, target = look_settings.look(target)
    with ThreadPoolExecutor(LOOKS) as threads:
        postgres = threads.submit(look_postgres.look, target)
        s3 = threads.submit(look_services.look_s3, target)
        connect = threads.submit(look_services.look_connect, target)
        kafka = look_kafka.look(target)
        now = brokers_now(kafka)
        version = settings.cluster.version if isinstance(settings, Settings) and settings.cluster else 0
        streams = threads.submit(look_groups.look_streams, target, now, version) if now else None
        executors = threads.submit(look_groups.look_executors, target, now) if now else None
        readers = threads.submit(look_groups.look_readers, target, now) if now else None
        overdue = threads.submit(look_jobs.look, target) if now else None
        decided = streams.result() if streams else None
        newest = decided.newest_version if isinstance(decided, Streams) else None
        return Facts(
            processes=look_services.look_processes(data),
            postgres=postgres.result(),
            kafka=kafka,
            connect=connect.result(),
            s3=s3.result(),
            streams=decided,
            executors=executors.result() if executors else None,
            readers=readers.result() if readers else None,
            settings=settings,
            overdue=overdue.result() if overdue else None,
            restored=look_postgres.look_restored(target, newest) if newest is not None else None,
        )


def brokers_now(kafka: Kafka | Silent) -> datetime | None:
    """The brokers' time; None without brokers or topics, because then no process can run."""
    if isinstance(kafka, Silent) or any(each.found is None for each in kafka.topics):
        return None
    clock = kafka.clock
    return wall_clock() + timedelta(seconds=(clock.low + clock.high) / 2 if clock else 0)


def probe_if_possible(target: Connections, facts: Facts, limit: timedelta) -> Journey | Silent | None:
    """None if a part that the probe needs at its start does not answer; another finding reports that."""
    postgres, kafka = facts.postgres, facts.kafka
    if isinstance(postgres, Silent) or isinstance(kafka, Silent) or facts.s3.refused:
        return None
    if postgres.history is None or facts.streams is None:
        return None
    return probe(target, limit, clock_difference(kafka.clock, postgres.clock))


def probe_findings(journey: Journey | Silent | None) -> Iterator[Finding]:
    match journey:
        case None:
            pass
        case Silent(reason=reason):
            yield bad("probe.answers", f"the probe run could not be followed: {reason}", "see the other findings")
        case Journey():
            yield from hops.findings(journey)


def report(found: list[Finding], journey: Journey | Silent | None) -> dict[str, object]:
    """The result as JSON."""
    seen = journey if isinstance(journey, Journey) else None
    return {
        "healthy": is_healthy(found),
        "run_id": seen and seen.run_id,
        "hops": [_plain(each) for each in hops.timed(seen)] if seen else [],
        "findings": [_plain(each) for each in found],
    }


def show(found: list[Finding], journey: Journey | Silent | None, *, show_all: bool) -> None:
    """Print the result; the worst findings come last, where the user reads first."""
    if isinstance(journey, Journey):
        console().print(table([_plain(each) for each in hops.timed(journey)], HOP_COLUMNS))
    shown = [each for level in Level for each in found if each.level is level and (show_all or level is not Level.OK)]
    if shown:
        console().print(table(map(_row, shown), FINDING_COLUMNS))
    counts = {level: sum(each.level is level for each in found) for level in Level}
    verdict = "Healthy" if is_healthy(found) else "Not healthy"
    say(f"{verdict}: {counts[Level.OK]} ok, {counts[Level.WARN]} warnings, {counts[Level.BAD]} bad.")


def _row(finding: Finding) -> dict[str, object]:
    """On a terminal the remedy has its own line; in a pipe a finding is one line."""
    between = "\n\u2192 " if sys.stdout.isatty() else "; "
    return {**_plain(finding), "finding": between.join(filter(None, (finding.sentence, finding.remedy)))}


def _plain(value: msgspec.Struct) -> dict[str, object]:
    fields: dict[str, object] = msgspec.to_builtins(value, builtin_types=(timedelta,))
    return fields
