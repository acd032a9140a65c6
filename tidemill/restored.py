"""`tidemill restored`: after a restore of Postgres from a backup, writes every job and DAG again (decision 34)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Annotated

import psycopg
import typer
from confluent_kafka import KafkaException

from connectors import connect_api
from connectors.apply import apply_connector, observe
from connectors.owned import Config
from connectors.primary import find_primary
from connectors.settings import SourceSettings
from connectors.source import source_config
from infra.progress import progress
from schemas.errors import TidemillError
from schemas.settings import Connections, read
from tidemill.cluster import found_at
from tidemill.known_owners import Known, known_owners
from tidemill.lag import unavailable
from tidemill.output import say
from tidemill.queries import one
from tidemill.target import DEFAULT_DATA, Data, RefusedError, Row, connect, connections

OWNERS_AT_ONCE = 10_000
STOP_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 0.25


class StillRunningError(TidemillError):
    """The connector did not stop."""


def restored(
    data: Data = DEFAULT_DATA,
    anyway: Annotated[bool, typer.Option("--anyway", help="Run also if the database does not look restored.")] = False,
) -> None:
    """Repair a deployment after its database was restored from a backup: write every job and DAG again."""
    target, _ = found_at(connections(data))
    with progress("Reading what the streams know"):
        known = _known(target)
    with connect(target.postgres_dsn) as postgres:
        if not (anyway or is_restored(postgres, known)):
            raise RefusedError(
                "this database does not look restored: it has given every version that the streams know; is it the "
                "right database? `tidemill restored --anyway` continues"
            )
        settings = read(SourceSettings)
        with progress("Stopping the connector"):
            _stop(target, settings, postgres)
        with progress("Writing every job and DAG again"):
            said = write_anew(postgres, known)
        connect_api.resume_connector(target.connect_url, settings.connector_name)
    with progress("Connector"):
        apply_connector(target, settings)
    say(said)


def is_restored(postgres: psycopg.Connection[Row], known: Known) -> bool:
    found = one(postgres, "restored")
    assert found is not None
    return found["noticed_at"] is not None or found["given"] < known.newest_version


def write_anew(postgres: psycopg.Connection[Row], known: Known) -> str:
    """Write all owners again in one transaction, and return a sentence about it."""
    with postgres.transaction():
        written = one(postgres, "write_anew", {"applied": known.newest_version})
        deleted = 0
        for owners in _parts(sorted(known.owners)):
            kinds = [known.owners[each].value for each in owners]
            found = one(postgres, "delete_unknown", {"owners": owners, "kinds": kinds})
            deleted += found["deleted"] if found else 0
    assert written is not None
    return (
        f"{written['jobs']} jobs and {written['dags']} DAGs were written again, above version {known.newest_version}; "
        f"{deleted} that only the streams knew are deleted."
    )


def _parts(owners: Sequence[str]) -> Iterator[list[str]]:
    return (list(owners[begin : begin + OWNERS_AT_ONCE]) for begin in range(0, len(owners), OWNERS_AT_ONCE))


def _known(target: Connections) -> Known:
    try:
        return known_owners(target)
    except (KafkaException, TimeoutError) as error:
        raise unavailable(target, error) from error


def _stop(target: Connections, settings: SourceSettings, postgres: psycopg.Connection[Row]) -> None:
    """Stop the connector and delete its offsets, which are positions in the old database's WAL."""
    url, name = target.connect_url, settings.connector_name
    desired = source_config(target, settings, find_primary(target.postgres_dsn) or 0)
    if observe(target, desired) is None:
        connect_api.put_config(url, name, desired)
    connect_api.stop_connector(url, name)
    deadline = time.monotonic() + STOP_SECONDS
    while not _has_stopped(target, desired, postgres):
        if time.monotonic() > deadline:
            raise StillRunningError(f"the connector {name} did not stop within {STOP_SECONDS:g} s; try again")
        time.sleep(LOOK_AGAIN_SECONDS)
    one(postgres, "drop_slot", {"slot_name": settings.slot_name})
    connect_api.forget_offsets(url, name)


def _has_stopped(target: Connections, desired: Config, postgres: psycopg.Connection[Row]) -> bool:
    found, slot = observe(target, desired), one(postgres, "doctor_slot", {"slot_name": desired["slot.name"]})
    return found is not None and found.state == "STOPPED" and not found.tasks and not (slot and slot["active"])
