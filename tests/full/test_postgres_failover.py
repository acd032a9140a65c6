"""Postgres fails over under load, as docs/postgres-failover.md says: no accepted row is lost, none runs twice."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import orjson
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from infra import stack as local
from infra.part import Part
from infra.ports import Ports
from infra.process import last_lines
from infra.process_roles import CONNECT, password_of
from infra.settings import InfraSettings
from infra.stack import StackOptions
from infra.workers import workers
from schemas.ids import request_run_id
from schemas.topics import CDC
from tests.support import checkers
from tests.support.servers.postgres_pair import PostgresPair, running_pair
from tests.support.servers.server_process import start
from tests.support.stack_client import StackClient
from tests.support.steady_load import INSERT, SteadyLoad, execution_script, executions
from tests.support.waiting import eventually
from tidemill.target import connect, connect_to_read

pytestmark = pytest.mark.integration

PARTITIONS = 4
JOBS = 10
LOAD = 20
"""Requests per second."""
BEFORE = 60
AFTER = 60
"""Requests before the kill and after the promotion."""
STOP_SECONDS = 60
ALL_ENDED_SECONDS = 120
DETECTION_SECONDS = 25
"""So long may whoever watches Postgres take to notice that the primary is lost."""
GIVE_UP_SECONDS = 120
"""The test fails after this time; the gap is printed, because a busy machine makes it longer (docs/reliability.md)."""
SECOND = timedelta(seconds=1)


class Site:
    """Servers, the pair of Postgres, our processes, and a client that names both servers."""

    def __init__(self, pair: PostgresPair, client: StackClient, journal: Path) -> None:
        self.pair, self.client, self.journal = pair, client, journal
        self.accepted: set[str] = set()
        """The runs of all accepted requests."""


@contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    data, journals = folder / "stack", folder / "journals"
    journals.mkdir()
    journal = journals / "journal"
    journal.touch()
    journal.chmod(0o666)
    local.start_detached(StackOptions(data=data, partitions=PARTITIONS, servers_only=True, until_parent_exits=True))
    ports = Ports(folder, InfraSettings().cache.expanduser(), ())
    try:
        with running_pair(folder, ports) as pair, running_processes(data, pair.dsn(), journals, ports):
            client = StackClient(data, journals)
            client.connections = client.connections.model_copy(
                update={"postgres_dsn": pair.dsn(), "postgres_read_dsn": None}
            )
            yield Site(pair, client, journal)
            client.close()
    finally:
        ports.close()
        local.stop(data, STOP_SECONDS)


@contextmanager
def running_processes(data: Path, dsn: str, journals: Path, ports: Ports) -> Iterator[None]:
    environment = local.environment(data) | {
        "TIDEMILL_POSTGRES_DSN": dsn,
        "TIDEMILL_POSTGRES_READ_DSN": dsn,
        "TIDEMILL_CONNECT_POSTGRES_PASSWORD": password_of(str(conninfo_to_dict(dsn)["password"]), CONNECT),
    }
    options = StackOptions(data=data, workers=2, executor_env={"TIDEMILL_UNVEIL": f"rw:{journals}"})
    processes: list[tuple[Part, subprocess.Popen[bytes]]] = []
    try:
        for part in workers(options, environment, ports):
            if part.once:
                subprocess.run(part.argv, env={**part.env, "PATH": "/usr/bin:/bin"}, check=True)
            else:
                processes.append((part, start(part)))
        yield
        ended = [f"{part.name}:\n{last_lines(part.log)}" for part, process in processes if process.poll() is not None]
        assert not ended, "\n".join(ended)
    finally:
        for _, process in reversed(processes):
            process.terminate()
        for _, process in reversed(processes):
            process.wait(STOP_SECONDS)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("failover")
    folder.chmod(0o755)
    with running_site(folder) as found:
        yield found


def more(load, count):
    wanted = len(load.accepted) + count
    eventually(lambda: len(load.accepted) >= wanted, 120, f"{count} more requests")


def accepted(client, job_id, request_id):
    """Writes a request until it is accepted, as a client would: with the same id, each time on a new connection."""

    def tried():
        try:
            with connect(client.connections.postgres_dsn) as database:
                database.execute(INSERT, [[request_id], [job_id]])
        except psycopg.OperationalError:
            return None
        return request_run_id(job_id, request_id)

    return eventually(tried, GIVE_UP_SECONDS, "an accepted row")


@pytest.fixture(scope="module")
def jobs(site):
    script = site.client.put_script("noting", execution_script(site.journal))
    found = [f"job-{number}." for number in range(JOBS)]
    for each in found:
        site.client.put_job(each, script, timeout="10 s")
    site.client.put_job("tick", script, schedule="* * * * * *", overlap_policy="allow_all", catchup_policy="all")
    return found


class Fault(NamedTuple):
    signal: signal.Signals
    outage: float
    """Seconds until the operator promotes the standby."""


FAULTS = {
    "killed": Fault(signal.SIGKILL, 0),
    "killed-and-noticed-late": Fault(signal.SIGKILL, DETECTION_SECONDS),
    "frozen": Fault(signal.SIGSTOP, 0),
}
"""A frozen primary closes no connection: clients wait for it, and Connect for a task that hangs in a call."""


class Gap:
    """How long each part of a failover took, in seconds: `ours` from the promotion to the start of a run."""

    def __init__(self, site: Site, job_id: str, request_id: str, fault: Fault) -> None:
        began = time.monotonic()
        site.pair.signal_primary(fault.signal)
        eventually(lambda: time.monotonic() - began >= fault.outage, GIVE_UP_SECONDS, "the promotion by the operator")
        site.pair.promote()
        promoted = time.monotonic()
        self.run_id = accepted(site.client, job_id, request_id)
        self.to_accepted = time.monotonic() - promoted
        eventually(lambda: self.run_id in {run for run, _ in executions(site.journal)}, GIVE_UP_SECONDS, "its run")
        self.ours = time.monotonic() - promoted
        self.whole = time.monotonic() - began
        site.pair.end_old()
        eventually(lambda: is_shown(site.client, self.run_id), GIVE_UP_SECONDS, "its row")
        self.to_shown = time.monotonic() - promoted

    def __str__(self) -> str:
        return (
            f"fault to promoted {self.whole - self.ours:.1f} s; promoted to accepted {self.to_accepted:.1f} s, "
            f"to started {self.ours:.1f} s, to shown {self.to_shown:.1f} s; fault to started {self.whole:.1f} s"
        )


@pytest.mark.parametrize("kind", FAULTS)
def test_a_failover_loses_nothing_and_takes_no_snapshot(site, jobs, kind):
    if site.accepted:
        site.pair.add_standby()  # the server that was lost before
    site.pair.await_ready()
    with SteadyLoad(site.client, jobs, LOAD, f"{kind}-") as load:
        more(load, BEFORE)
        gap = Gap(site, jobs[0], f"probe-{kind}", FAULTS[kind])
        more(load, AFTER)
    site.accepted |= {*load.accepted, gap.run_id}
    print(f"{kind}: {gap}; {len(load.accepted)} requests; the latest tick was {latest_tick(site.client):.1f} s late")
    assert verdict(site, jobs) == []
    assert snapshots(site.client) == 0
    assert_slot_advances(site)


def is_shown(client, run_id):
    """Whether a command that reads shows the end of the run."""
    with connect_to_read(client.connections) as database:
        found = database.execute("select state from runs where run_id = %s", [run_id]).fetchone()
    return found and found["state"] == "succeeded"


def assert_slot_advances(site):
    """The connector reads the slot that the standby has kept."""
    (lsn,) = site.pair.ask(site.pair.primary, "select pg_current_wal_lsn()::text")[0]
    advanced = f"select active and failover and confirmed_flush_lsn >= '{lsn}' from pg_replication_slots"
    mine = "where slot_name = 'tidemill'"
    eventually(lambda: site.pair.ask(site.pair.primary, f"{advanced} {mine}") == [(True,)], what="a confirmed flush")


def latest_tick(client):
    return max(
        (each["started_at"] - each["scheduled_time"]).total_seconds()
        for each in client.runs_of("tick")
        if each["started_at"]
    )


def snapshots(client):
    """Records of `cdc` that a snapshot made."""
    return sum(orjson.loads(each.value())["__op"] == "r" for each in client.read(CDC))


def verdict(site, jobs):
    client, wanted = site.client, site.accepted

    def missing():
        return wanted - {each["run_id"] for each in client.rows("select run_id from runs where state = 'succeeded'")}

    eventually(lambda: not missing(), ALL_ENDED_SECONDS, lambda: f"the end of {sorted(missing())[:5]}")
    history = [each for job in jobs for each in client.history(job)]
    rows = client.rows("select * from runs where job_id = any (%s)", [jobs])
    return [
        *checkers.materialized_once(history),
        *checkers.legal_history(history),
        *checkers.nothing_lost(history, wanted),
        *checkers.all_succeeded(history),
        *checkers.executed_as_dispatched(
            history, [each for each in executions(site.journal) if not each[0].startswith("tick")]
        ),
        *checkers.tables_agree(history, rows),
        *missed_ticks(client),
    ]


def missed_ticks(client):
    """Occurrences of the job that runs each second which have no run, or did not succeed."""
    until = client.now()

    def ended():
        runs = client.runs_of("tick")
        return runs[-1]["nominal_time"] > until and all(
            each["state"] == "succeeded" for each in runs if each["nominal_time"] <= until
        )

    eventually(ended, ALL_ENDED_SECONDS, "the end of each tick")
    times = [each["nominal_time"] for each in client.runs_of("tick")]
    return [f"no run between {at} and {later}" for at, later in pairwise(times) if later - at != SECOND]
