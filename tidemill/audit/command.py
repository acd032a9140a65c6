"""`tidemill audit`: proves that each occurrence has one outcome or one reason, or lists those that do not."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import psycopg
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from schemas.settings import Connections
from schemas.times import rfc3339
from tidemill.audit import tables, topics
from tidemill.audit.findings import Again, Executions, Finding, Found, Lateness, Tally
from tidemill.audit.matching import Span
from tidemill.audit.tables import Scope
from tidemill.complete import owner_names
from tidemill.instants import parse_instant
from tidemill.lag import BrokersError
from tidemill.names import owner_kind
from tidemill.output import say, show_json, show_rows
from tidemill.overdue.command import sink_is_behind
from tidemill.target import DEFAULT_DATA, AsJson, Data, Row, UsageError, connect_to_read, connections, wall_clock

DAY = timedelta(days=1)
LATEST = timedelta(minutes=1)
"""An occurrence may take so long to be decided and shown, besides what waits for the sink."""
SHOWN = 50


class Against(StrEnum):
    TABLES = "tables"
    TOPICS = "topics"
    BOTH = "both"


FOUND = 1
"""The exit code if something was found."""


def audit(
    begin: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Audit from this time. Default: 24 h before --to.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Audit up to this time. Default: a minute ago.")
    ] = None,
    job: Annotated[str | None, typer.Option(help="Only this job.", autocompletion=owner_names)] = None,
    dag: Annotated[str | None, typer.Option(help="Only this DAG.", autocompletion=owner_names)] = None,
    tenant: Annotated[str | None, typer.Option(help="Only jobs and DAGs of this tenant.")] = None,
    against: Annotated[
        Against, typer.Option(help="What to match with: the read model, the topics, or both with each other.")
    ] = Against.TABLES,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Prove that all that was due has one outcome or one reason; list what has not."""
    if job is not None and dag is not None:
        raise UsageError("give either --job or --dag")
    target = connections(data)
    with connect_to_read(target) as postgres:
        if owner := job or dag:
            owner_kind(postgres, owner)
        span, cut = _span(postgres, target, begin, end)
        scope = Scope(span=span, owner=owner, tenant=tenant)
        with _progress(as_json) as turn:
            report = look(postgres, scope, turn, target, against)
    if as_json:
        show_json(_as_json(report, scope, cut))
    else:
        _show(report, scope, cut)
    if report.found:
        raise typer.Exit(FOUND)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    found: list[Found]
    tally: Tally
    late: Lateness | None
    again: list[Again]
    """It is no mistake, so it does not change the exit code."""
    records_from: datetime | None
    """From then on `runs.<class>` and `events` have all records. None: they were not read."""


def look(
    postgres: psycopg.Connection[Row],
    scope: Scope,
    turn: Callable[[int], object] = lambda _: None,
    target: Connections | None = None,
    against: Against = Against.TABLES,
) -> Report:
    """`target` is needed for the topics."""
    tally, found, executions = Tally(), list[Found](), Executions()
    if against is not Against.TABLES:
        assert target is not None
        both = against is Against.BOTH
        found += topics.occurrences(postgres, target, scope, tally, turn, executions, compared=both)
    if against is not Against.TOPICS:
        # With both, the counts are those of the topic: it is what the read model is made from.
        counted = tally if against is Against.TABLES else Tally()
        found += tables.occurrences(postgres, scope, counted, turn)
        found += tables.others(postgres, scope)
    return Report(
        found=found,
        tally=tally,
        late=tables.count(postgres, scope, tally),
        again=tables.again(postgres, scope) if against is Against.TABLES else executions.again,
        records_from=None if against is Against.TABLES else executions.kept_from,
    )


def _span(
    postgres: psycopg.Connection[Row], target: Connections, begin: str | None, end: str | None
) -> tuple[Span, datetime | None]:
    """The time to audit, and what it was asked to begin with if retention has removed rows of that time."""
    earliest, now = tables.horizon(postgres)
    decided = now - LATEST - _sink_lag(target)
    until = parse_instant("--to", end, wall_clock(), "UTC", ago=True) if end else decided
    if until > decided:
        raise UsageError(f"--to {rfc3339(until)} is too late: up to {rfc3339(decided)} all is decided and shown")
    after = parse_instant("--from", begin, wall_clock(), "UTC", ago=True) if begin else max(until - DAY, earliest)
    if after >= until:
        raise UsageError(f"--from {rfc3339(after)} is not before --to {rfc3339(until)}")
    if until <= earliest:
        raise UsageError(f"--to {rfc3339(until)} is too early: rows and versions are kept from {rfc3339(earliest)} on")
    return Span(max(after, earliest), until), after if after < earliest else None


def _sink_lag(target: Connections) -> timedelta:
    try:
        return sink_is_behind(target)
    except BrokersError as error:
        raise BrokersError(f"{error}; only Kafka knows what the read model does not show yet") from error


@contextmanager
def _progress(as_json: bool) -> Iterator[Callable[[int], object]]:
    """A bar on standard error, if somebody looks at it. It moves each `CHUNK` records, because a move takes long."""
    if as_json or not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.completed:,.0f} records"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task, waiting = bar.add_task("", total=None), 0

        def turn(number: int) -> None:
            nonlocal waiting
            waiting += number
            if waiting >= tables.CHUNK:
                bar.advance(task, waiting)
                waiting = 0

        yield turn


def _show(report: Report, scope: Scope, cut: datetime | None) -> None:
    tally, span = report.tally, scope.span
    if cut:
        say(f"Rows and versions from before {rfc3339(span.after)} are removed; --from was {rfc3339(cut)}.")
    say(f"From {rfc3339(span.after)} to {rfc3339(span.until)}: {tally.owners:,} jobs and DAGs.")
    rows: list[dict[str, Any]] = [
        {"what": "occurrences that were due", "count": f"{tally.expected:,}"},
        {"what": "… next to a change, so that either version may have decided", "count": f"{tally.unsure:,}"},
        {"what": "became runs", "count": f"{tally.runs:,}"},
        *({"what": f"did not run: {code}", "count": f"{n:,}"} for code, n in sorted(tally.not_run.items())),
        {"what": "still open", "count": f"{tally.open:,}"},
        {"what": "requested runs", "count": f"{tally.requests:,}"},
        {"what": "runs of DAG nodes", "count": f"{tally.nodes:,}"},
        {"what": "attempts", "count": f"{tally.attempts:,}"},
    ]
    if report.records_from:
        rows += [
            {"what": "dispatches in runs.*", "count": f"{tally.dispatches:,}"},
            {"what": "starts in events", "count": f"{tally.starts:,}"},
            {"what": "ends in events", "count": f"{tally.ends:,}"},
        ]
    show_rows(rows, ("what", "count"), as_json=False)
    if tally.before_kept and report.records_from:
        say(
            f"runs.* and events have all records from {rfc3339(report.records_from)} on: {tally.before_kept:,} earlier "
            "attempts are matched with status alone."
        )
    if late := report.late:
        say(f"Late by (s): p50 {late.p50:.3f}, p95 {late.p95:.3f}, p99 {late.p99:.3f}, longest {late.max:.3f}.")
    _show_again(report.again)
    _show_found(report.found)


def _show_again(again: list[Again]) -> None:
    if not again:
        return
    say(f"Executed again after a lost lease: {len(again):,}{' or more' if len(again) == tables.MOST else ''}.")
    rows = [{"name": each.owner, "run": each.run_id, "what": _again(each)} for each in again[:SHOWN]]
    show_rows(rows, ("name", "run", "what"), as_json=False)
    if len(again) > SHOWN:
        say(f"… and {len(again) - SHOWN:,} more; --json shows them.")


def _again(each: Again) -> str:
    beside = f", and both ran until {rfc3339(each.ran_until)}" if each.ran_until else ""
    lost = f" at {rfc3339(each.lost_at)}" if each.lost_at else ""
    return (
        f"attempt {each.attempt} (token {each.token}) was lost{lost}: {each.reason_code}; attempt {each.next_attempt} "
        f"started at {rfc3339(each.next_started_at)}{beside}"
    )


def _show_found(found: list[Found]) -> None:
    if not found:
        say(
            "Nothing is missing, twice, unexpected, unexplained, overlapping or early, "
            "and no state contradicts its history."
        )
        return
    counts = Counter[Finding]()
    for each in found:
        counts[each.finding] += each.count
    rows = [
        {"finding": each.finding.value, "name": each.owner, "what": each.sentence, "versions": _versions(each)}
        for each in found[:SHOWN]
    ]
    show_rows(rows, ("finding", "name", "what", "versions"), as_json=False)
    if len(found) > SHOWN:
        say(f"… and {len(found) - SHOWN:,} more; --json shows all.")
    say(f"Found: {', '.join(f'{number:,} {finding.value}' for finding, number in sorted(counts.items()))}.")


def _versions(found: Found) -> str:
    return ", ".join(map(str, found.versions))


def _as_json(report: Report, scope: Scope, cut: datetime | None) -> dict[str, Any]:
    return {
        "from": scope.span.after,
        "to": scope.span.until,
        "asked_from": cut or scope.span.after,
        "counts": msgspec.structs.asdict(report.tally),
        "records_from": report.records_from,
        "late_seconds": report.late and msgspec.structs.asdict(report.late),
        "again": [msgspec.structs.asdict(each) for each in report.again],
        "found": [msgspec.structs.asdict(each) for each in report.found],
    }
