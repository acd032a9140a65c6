"""Checks the settings that all processes share against the environment, the tables, and the members."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from schemas.cluster import DisagreementError, check_margins
from tidemill.doctor.facts import Executors, Facts, Postgres, Settings, Streams
from tidemill.doctor.finding import Finding, bad, listed, ok, warn

RESTART = "restart them one after the other, in the order of docs/settings.md"
MIGRATE = "run `tidemill migrate`"


def record(facts: Settings) -> Iterator[Finding]:
    name = "settings.record"
    if facts.cluster is None:
        yield bad(name, "Kafka has no settings of a deployment: no process starts", MIGRATE)
    else:
        yield ok(name, f"the deployment has its settings (version {facts.cluster.version})")


def environment(facts: Settings) -> Iterator[Finding]:
    name = "settings.environment"
    for sentence in facts.contradictions:
        said, _, remedy = sentence.partition(": ")
        yield bad(name, f"{said}: a process with this environment does not start", remedy)
    if not facts.contradictions:
        yield ok(name, "the environment agrees with the settings that all processes share")


def members(facts: Facts) -> Iterator[Finding]:
    """Check that no process uses older settings than the record's."""
    if not isinstance(facts.settings, Settings) or facts.settings.cluster is None:
        return
    name, version = "settings.members", facts.settings.cluster.version
    workers = sorted(set(facts.streams.behind.values())) if isinstance(facts.streams, Streams) else []
    known = facts.executors.executors if isinstance(facts.executors, Executors) else ()
    executors = [each.name for each in known if each.settings_version < version]
    if workers or executors:
        yield warn(
            name,
            f"older settings than version {version} are used by {listed([*workers, *executors])}",
            f"{RESTART}; then repeat `tidemill cluster set` or `tidemill migrate`",
        )
    else:
        yield ok(name, f"all processes use version {version} of the settings")


def margins(facts: Facts) -> Iterator[Finding]:
    name, executors = "settings.margins", facts.executors
    if not (isinstance(facts.settings, Settings) and isinstance(executors, Executors) and facts.settings.cluster):
        return
    try:
        check_margins(facts.settings.cluster, executors.margins)
    except DisagreementError as error:
        said, _, remedy = str(error).rpartition("; ")
        yield bad(name, said, remedy)
    else:
        yield ok(name, "the lease is long enough for the executors")


def classes(facts: Facts) -> Iterator[Finding]:
    name, postgres = "settings.classes", facts.postgres
    if not (isinstance(facts.settings, Settings) and isinstance(postgres, Postgres) and facts.settings.cluster):
        return
    if postgres.timeout_classes is None:
        return
    there, allowed = set(facts.settings.cluster.classes), set(postgres.timeout_classes)
    if allowed - there:
        yield bad(
            name,
            f"jobs may name the timeout class {listed(sorted(allowed - there))}, which has no topic: their runs would "
            "use another class",
            MIGRATE,
        )
    elif there - allowed:
        yield warn(
            name,
            f"jobs cannot name the timeout class {listed(sorted(there - allowed))} yet",
            f"{RESTART}; then {MIGRATE}",
        )
    else:
        yield ok(name, f"jobs may name the timeout classes {facts.settings.cluster.timeout_classes}")


CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (record, environment)
CROSS_CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (members, margins, classes)
