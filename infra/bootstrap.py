"""Runs one of the jobs that start a stack: `python -m infra.bootstrap prepare|connector`."""

from __future__ import annotations

import sys

import psycopg

from connectors import migrate
from connectors.cluster import allow_classes, establish
from infra import examples, grafana_role, process_roles
from schemas.errors import TidemillError
from schemas.settings import AgreedSettings, Connections, read


def prepare(connections: Connections) -> None:
    """Make the tables, topics, bucket, examples and role of Grafana that are missing; runs at every start."""
    _say("tables", migrate.migrate(connections.postgres_dsn))
    found = establish(connections, read(AgreedSettings))
    _say("topics", found.made)
    allow_classes(connections.postgres_dsn, list(found.cluster.classes))
    _say("examples", examples.put(connections))
    process_roles.set_passwords(connections.postgres_dsn)
    _say("roles", grafana_role.make(connections.postgres_dsn))


def connector(connections: Connections) -> None:
    from connectors.apply import apply_connector  # noqa: PLC0415 - the other job does not need it

    _say("connector", [type(action).__name__ for action in apply_connector(connections)])


def _say(what: str, done: list[str]) -> None:
    sys.stderr.write(f"{what}: {', '.join(done) or 'up to date'}\n")


def main(job: str) -> int:
    try:
        {"prepare": prepare, "connector": connector}[job](read(Connections))
    except (TidemillError, psycopg.OperationalError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
