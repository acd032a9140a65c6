"""Stores the programs of jobs in S3, under their own hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from connectors.objects import Objects
from tidemill.place import UsageError

SCRIPT_HEAD = "#!/bin/sh\n"


def store_binary(objects: Objects, path: Path) -> dict[str, str | None]:
    """Store a local program as `binaries/<sha256>`; the columns that name it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"--binary {str(path)!r} cannot be read: {error.strerror}") from error
    return _store(objects, "binaries", content)


def store_command(objects: Objects, command: str) -> dict[str, str | None]:
    """Store a command line as a shell script, `commands/<sha256>`; the columns that name it."""
    return _store(objects, "commands", f"{SCRIPT_HEAD}{command}\n".encode())


def _store(objects: Objects, folder: str, content: bytes) -> dict[str, str | None]:
    sha256 = hashlib.sha256(content).hexdigest()
    return {"binary": objects.put(f"{folder}/{sha256}", content), "sha256": sha256}
