"""Checks of Connect and its connector, of S3, and of the processes of a local stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from connectors.owned import corrected, revision
from connectors.plan import RUNNING, describe
from tidemill.doctor.facts import S3, Connect, Processes
from tidemill.doctor.finding import Finding, bad, listed, ok, warn

DEBEZIUM = "3.7."
MIGRATE = "run `tidemill migrate`"


def debezium(facts: Connect) -> Iterator[Finding]:
    name, found = "connect.debezium", facts.debezium
    if found is None:
        yield bad(
            name,
            f"Connect {facts.version} has no Debezium connector for Postgres: nothing can be captured",
            "put debezium-connector-postgres 3.7 into Connect's plugin.path and restart it",
        )
    elif not found.startswith(DEBEZIUM):
        yield warn(
            name,
            f"Debezium is version {found}; only 3.7 is tested, and 3.6 can lose rows at a restart",
            "use Debezium 3.7",
        )
    else:
        yield ok(name, f"Connect {facts.version} has Debezium {found}")


def connector(facts: Connect) -> Iterator[Finding]:
    name, found = "connect.connector", facts.connector
    if found is None:
        yield bad(name, f"there is no connector {facts.desired['name']}: nothing is captured", MIGRATE)
        return
    said = describe(found)
    states = {found.state, *(task.state for task in found.tasks)}
    if found.runs:
        yield ok(name, said)
    elif states & {"PAUSED", "STOPPED"}:
        yield bad(
            name,
            f"{said}: an operator paused it, and rows wait in Postgres",
            f"resume it: `PUT /connectors/{facts.desired['name']}/resume` on Connect",
        )
    elif states <= {RUNNING, "UNASSIGNED", "RESTARTING"}:
        yield bad(
            name,
            f"{said}: it is starting, or no Connect worker runs it",
            "run doctor again in a few seconds; see Connect's log",
        )
    else:
        yield bad(
            name,
            f"{said}: rows wait in Postgres",
            "start `python -m connectors.supervisor`, which restarts it; Connect's log has the cause",
        )


def connector_config(facts: Connect) -> Iterator[Finding]:
    """Report only the names of options: a value may be a password."""
    name = "connect.config"
    if facts.connector is None:
        return
    found, wanted = facts.connector.config, corrected(facts.connector.config, facts.desired)
    others = sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))
    if revision(found) > revision(facts.desired):
        yield warn(
            name, "a newer release of Tidemill wrote the connector's configuration", "use that release here as well"
        )
    elif others:
        yield bad(
            name,
            f"the connector has wrong values of {listed(others)}: it may capture too little or too late",
            f"{MIGRATE}: it corrects the connector",
        )
    else:
        yield ok(name, "the connector is configured correctly")


def bucket(facts: S3) -> Iterator[Finding]:
    name = "s3.bucket"
    if facts.refused is None:
        yield ok(name, f"the bucket {facts.bucket} can be written and read")
    elif "NoSuchBucket" in facts.refused:
        yield bad(
            name,
            f"there is no bucket {facts.bucket} at {facts.where}: programs and logs cannot be stored",
            f"create it, or set TIDEMILL_S3_BUCKET to another one ({facts.refused})",
        )
    else:
        yield bad(
            name,
            f"the bucket {facts.bucket} cannot be used: {facts.refused}",
            "check TIDEMILL_S3_ENDPOINT, the keys and their rights (GetObject, PutObject, DeleteObject, ListBucket)",
        )


def processes(facts: Processes) -> Iterator[Finding]:
    name = "stack.processes"
    others = [each for each in facts if each.state != "running"]
    for each in others:
        yield bad(name, f"the process {each.name} is {each.state}", f"see the end of {each.log} for the reason")
    if facts and not others:
        yield ok(name, f"all {len(facts)} processes of the local stack are running")


CONNECT_CHECKS: tuple[Callable[[Connect], Iterator[Finding]], ...] = (debezium, connector, connector_config)
S3_CHECKS: tuple[Callable[[S3], Iterator[Finding]], ...] = (bucket,)
PROCESS_CHECKS: tuple[Callable[[Processes], Iterator[Finding]], ...] = (processes,)
