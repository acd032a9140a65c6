"""Stores the programs of jobs in S3, under their hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connectors.objects import Objects
from schemas.programs import COMMANDS, EXECUTABLES, PROGRAMS_LOCK, program_key
from schemas.settings import Connections
from tidemill.target import UsageError, connect

SCRIPT_HEAD = "#!/bin/sh\n"


@contextmanager
def storing(target: Connections) -> Iterator[None]:
    """Inside this context, retention deletes no stored program: the row that names the program is written last."""
    with connect(target.postgres_dsn) as postgres:
        postgres.execute("select pg_advisory_lock_shared(%s)", (PROGRAMS_LOCK,))
        yield


def store_executable(objects: Objects, path: Path) -> dict[str, str | None]:
    """Store a local program as `executables/<sha256>`, and return the columns that name it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"--executable {str(path)!r} cannot be read: {error.strerror}") from error
    return store_content(objects, content)


def store_content(objects: Objects, content: bytes) -> dict[str, str | None]:
    """Store a program as `executables/<sha256>`, and return the columns that name it."""
    return _store(objects, EXECUTABLES, content)


def store_command(objects: Objects, command: str) -> dict[str, str | None]:
    """Store a command line as the shell script `commands/<sha256>`, and return the columns that name it."""
    return _store(objects, COMMANDS, f"{SCRIPT_HEAD}{command}\n".encode())


def _store(objects: Objects, folder: str, content: bytes) -> dict[str, str | None]:
    sha256 = hashlib.sha256(content).hexdigest()
    return {"executable": objects.put(program_key(folder, sha256), content), "sha256": sha256}
