"""Where the programs of jobs lie in S3, if Tidemill has stored them: under their own hashes."""

from __future__ import annotations

import re

EXECUTABLES, COMMANDS = "executables", "commands"
PROGRAMS = (EXECUTABLES, COMMANDS)
DEPLOYMENTS = "deployments"
"""Each deployment marks the bucket with an object of this folder: programs of several lie side by side."""
PROGRAMS_LOCK = 0x71DE_0223
"""Of the advisory lock: shared from when a program is stored until a row names it. Meanwhile none is collected."""
_PROGRAM = re.compile(r"s3://[^/]+/(executables|commands)/[0-9a-f]{64}")


def program_key(folder: str, sha256: str) -> str:
    return f"{folder}/{sha256}"


def is_program(uri: str) -> bool:
    """Whether it is one that Tidemill has stored; what people put beside is theirs."""
    return _PROGRAM.fullmatch(uri) is not None
