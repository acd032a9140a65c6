"""Postgres 18 with a logical WAL for the local stack, from the binaries of a wheel."""

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
from infra.postgres_installation import Installation, choose_installation

DATABASE = "tidemill"
SUPERUSER = "postgres"
"""Of the cluster. It makes the owner of the tables and their database, and no process uses it."""
ROLE = "tidemill"
"""The owner of the tables: it migrates, and makes the roles of all processes."""
COMMAND_SECONDS = 120

SETTINGS: Mapping[str, str | int] = {
    "wal_level": "logical",  # Debezium needs it
    "max_slot_wal_keep_size": "4GB",  # Postgres invalidates a slot without a reader before the disk is full
    "max_wal_senders": 8,
    "max_replication_slots": 8,
    "idle_replication_slot_timeout": 0,
    "wal_sender_timeout": "30s",  # a crashed Debezium blocks the slot for its successor for this long
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


def dsn(port: int, keys: Credentials, role: str = ROLE) -> str:
    """The DSN of the owner or of the superuser: both have the password of `keys`."""
    return f"postgresql://{role}:{keys.postgres_password}@127.0.0.1:{port}/{DATABASE}"


def prepare(data: Path, home: Path, keys: Credentials, on_event: Callable[[str], None]) -> Installation:
    """Choose the user and the folders; at the first start, make the cluster and its database."""
    files = choose_installation(data, home, on_event)
    if not (files.cluster / "made").exists():
        _make_cluster(files, keys)
    _remove_stale_pid_file(files.cluster / "pgdata")
    return files


def _make_cluster(files: Installation, keys: Credentials) -> None:
    pgdata = files.cluster / "pgdata"
    with tempfile.NamedTemporaryFile("w", prefix="tidemill-") as password:
        password.write(keys.postgres_password)
        password.flush()
        if files.user is not None:
            os.chown(password.name, files.user.uid, files.user.gid)
        options = ("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums", "--no-sync")
        _run(
            files,
            [files.program("initdb"), "-D", str(pgdata), "-U", SUPERUSER, f"--pwfile={password.name}", *options],
        )
    _run(
        files,
        [files.program("postgres"), "--single", "-D", str(pgdata), "template1"],
        f"create role {ROLE} login createrole replication password '{keys.postgres_password}';\n"
        f"grant pg_read_all_stats to {ROLE};\n"  # `tidemill migrate` says which query holds a lock
        f"create database {DATABASE} owner {ROLE};\n",
    )
    (files.cluster / "made").touch()


def _run(files: Installation, command: Sequence[str], text: str = "") -> None:
    done = subprocess.run(
        [*as_user(files.user), *command],
        input=text,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        cwd="/",
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"Postgres could not be prepared: {Path(command[0]).name} failed: {done.stderr.strip()}")


def as_user(user: User | None) -> list[str]:
    if user is None:
        return []
    numbers = map(str, (signal.SIGKILL.value, os.getpid(), user.uid, user.gid))
    return [*leash.COMMAND, *numbers]


def _remove_stale_pid_file(pgdata: Path) -> None:
    """After a reboot the pid in postmaster.pid may be another process's, and Postgres would refuse to start."""
    lock = pgdata / "postmaster.pid"
    with contextlib.suppress(OSError, ValueError):
        pid = int(lock.read_text().splitlines()[0])
        if Path(f"/proc/{pid}/comm").read_text().strip() != "postgres":
            lock.unlink()


def part(data: Path, port: int, files: Installation) -> Part:
    pgdata = files.cluster / "pgdata"
    settings = [item for name, value in {**SETTINGS, "port": port}.items() for item in ("-c", f"{name}={value}")]
    return Part(
        name="postgres",
        argv=(files.program("postgres"), "-D", str(pgdata), *settings),
        log=data / "logs" / "postgres.log",
        port=port,
        is_ready=lambda: _accepts(pgdata),
        user=files.user,
        stop_signal=signal.SIGINT,  # fast shutdown: Postgres ends the sessions and flushes the WAL
        death_signal=signal.SIGQUIT,  # immediate shutdown: the postmaster kills its children
        stop_seconds=20,
    )


def _accepts(pgdata: Path) -> bool:
    """The postmaster writes its state into line 8 of postmaster.pid."""
    try:
        lines = (pgdata / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"
