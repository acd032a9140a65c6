"""Finds the server that takes writes, if the DSN names several hosts: a primary and its standbys."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import zip_longest
from typing import TypeAlias

import psycopg
from psycopg import conninfo

CONNECT_SECONDS = 3
"""How long one host may take to answer: it may be frozen, or gone from the network."""
DEFAULT_PORT = "5432"

Address: TypeAlias = tuple[str, str]
"""Host and port, as the DSN names them; the host is empty if it names none."""


def addresses(dsn: str) -> list[Address]:
    """The hosts of a DSN in their order, by the rules of libpq: one port counts for all hosts."""
    parsed = conninfo.conninfo_to_dict(dsn)
    hosts = str(parsed.get("host") or parsed.get("hostaddr") or "").split(",")
    ports = str(parsed.get("port") or DEFAULT_PORT).split(",")
    return list(zip_longest(hosts, [port or DEFAULT_PORT for port in ports], fillvalue=ports[0] or DEFAULT_PORT))


def only(dsn: str, position: int) -> str:
    """The DSN with one of its hosts, so that a call does not wait for the others."""
    known = addresses(dsn)
    if len(known) == 1:
        return dsn
    host, port = known[position]
    named = "host" if conninfo.conninfo_to_dict(dsn).get("host") else "hostaddr"
    return conninfo.make_conninfo(dsn, **{named: host, "port": port})


def find_primary(dsn: str, last: int | None = None) -> int | None:
    """The position of the host that takes writes; None: none answers within `CONNECT_SECONDS` and takes writes.

    `last` is the result of the last call: while that host takes writes, no other is asked. Otherwise all are asked at
    once, so that a frozen one does not hold up the answer.
    """
    if last is not None and _takes_writes(only(dsn, last)):
        return last
    positions = range(len(addresses(dsn)))
    threads = ThreadPoolExecutor(len(positions), "primary")
    try:
        asked = {threads.submit(_takes_writes, only(dsn, position)): position for position in positions}
        return next((asked[each] for each in as_completed(asked) if each.result()), None)
    finally:
        threads.shutdown(wait=False)


def _takes_writes(dsn: str) -> bool:
    try:
        with psycopg.connect(
            dsn,
            connect_timeout=CONNECT_SECONDS,
            target_session_attrs="read-write",
            application_name="tidemill-connect-supervisor",
        ):
            return True
    except psycopg.OperationalError:
        return False
