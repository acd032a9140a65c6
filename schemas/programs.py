"""The S3 keys of programs that Tidemill stores, which are their own checksums."""

from __future__ import annotations

import re

EXECUTABLES, COMMANDS = "executables", "commands"
PROGRAMS = (EXECUTABLES, COMMANDS)
DEPLOYMENTS = "deployments"
"""Each deployment writes an object into this folder, because several deployments may share the bucket."""
PROGRAMS_LOCK = 0x71DE_0223
"""The key of an advisory lock: held shared from storing a program until a row names it, so that none is deleted."""
_PROGRAM = re.compile(r"s3://[^/]+/(executables|commands)/[0-9a-f]{64}")


def program_key(folder: str, sha256: str) -> str:
    return f"{folder}/{sha256}"


def is_program(uri: str) -> bool:
    """Whether Tidemill stored the program; users may keep other objects in the bucket."""
    return _PROGRAM.fullmatch(uri) is not None
