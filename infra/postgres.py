"""A Postgres 18 with a logical WAL for the local stack, from the binaries of a wheel."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from infra import leash
from infra.credentials import Credentials
from infra.errors import StackError
from infra.part import Part, User
from infra.postgres_place import Place, choose_place

DATABASE = "tidemill"
ROLE = "tidemill"
COMMAND_SECONDS = 120

SETTINGS: Mapping[str, str | int] = {
    "wal_level": "logical",  # what Debezium reads
    "max_slot_wal_keep_size": "4GB",  # a slot that nobody reads is dropped before the disk is full
    "max_wal_senders": 8,
    "max_replication_slots": 8,
    "idle_replication_slot_timeout": 0,
    "wal_sender_timeout": "30s",  # how long a vanished Debezium holds its slot against its successor
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": 60,
    "shared_buffers": "64MB",
    "max_wal_size": "1GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "logging_collector": "off",
}


def dsn(port: int, keys: Credentials) -> str:
    return f"postgresql://{ROLE}:{keys.postgres_password}@127.0.0.1:{port}/{DATABASE}"


def prepare(data: Path, home: Path, keys: Credentials, on_event: Callable[[str], None]) -> Place:
    """Chooses user and folders; makes the cluster and its database at the first start."""
    place = choose_place(data, home, on_event)
    if not (place.cluster / "made").exists():
        _make_cluster(place, keys)
    _forget_stranger(place.cluster / "pgdata")
    return place


def _make_cluster(place: Place, keys: Credentials) -> None:
    pgdata = place.cluster / "pgdata"
    with tempfile.NamedTemporaryFile("w", prefix="tidemill-") as password:
        password.write(keys.postgres_password)
        password.flush()
        if place.user is not None:
            os.chown(password.name, place.user.uid, place.user.gid)
        options = ("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums", "--no-sync")
        _run(place, [place.program("initdb"), "-D", str(pgdata), "-U", ROLE, f"--pwfile={password.name}", *options])
    _run(place, [place.program("postgres"), "--single", "-D", str(pgdata), "template1"], f"create database {DATABASE};")
    (place.cluster / "made").touch()


def _run(place: Place, command: Sequence[str], text: str = "") -> None:
    done = subprocess.run(
        [*as_user(place.user), *command],
        input=text,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        cwd="/",
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"Postgres could not be made ready ({Path(command[0]).name}): {done.stderr.strip()}")


def as_user(user: User | None) -> list[str]:
    if user is None:
        return []
    numbers = map(str, (signal.SIGKILL.value, os.getpid(), user.uid, user.gid))
    return [*leash.COMMAND, *numbers]


def _forget_stranger(pgdata: Path) -> None:
    """After a reboot the pid in postmaster.pid may be anybody's, and Postgres would refuse to start beside it."""
    lock = pgdata / "postmaster.pid"
    with contextlib.suppress(OSError, ValueError):
        pid = int(lock.read_text().splitlines()[0])
        if Path(f"/proc/{pid}/comm").read_text().strip() != "postgres":
            lock.unlink()


def part(data: Path, port: int, place: Place) -> Part:
    pgdata = place.cluster / "pgdata"
    settings = [item for name, value in {**SETTINGS, "port": port}.items() for item in ("-c", f"{name}={value}")]
    return Part(
        name="postgres",
        argv=(place.program("postgres"), "-D", str(pgdata), *settings),
        log=data / "logs" / "postgres.log",
        port=port,
        is_ready=lambda: _accepts(pgdata),
        user=place.user,
        stop_signal=signal.SIGINT,  # fast: sessions are ended, the WAL is flushed
        death_signal=signal.SIGQUIT,  # the postmaster itself takes its children down at once
        stop_seconds=20,
    )


def _accepts(pgdata: Path) -> bool:
    """The last line of postmaster.pid is the postmaster's own word."""
    try:
        lines = (pgdata / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"
