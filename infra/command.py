"""Runs a program of the machine to its end; its failure is one sentence."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from infra.errors import StackError

TIMEOUT_SECONDS = 300
ERRORS = ("E: ", "ERROR: ", "npm error ")
"""How apt, pip and npm begin the lines that matter."""


def finish(argv: Sequence[str], folder: Path) -> str:
    """Run it in the folder, and return what it wrote. Raises `StackError` with its first error or last line."""
    name = Path(argv[0]).name
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StackError(f"{name} did not end within {TIMEOUT_SECONDS} s.") from error
    except OSError as error:
        raise StackError(f"{name} could not be started ({error.strerror}).") from error
    said = done.stdout.decode(errors="replace").strip()
    if done.returncode != 0:
        raise StackError(f"{name} failed: {_error(said.splitlines()) or f'exit code {done.returncode}'}.")
    return said


def _error(lines: Sequence[str]) -> str:
    errors = [line for line in lines if line.startswith(ERRORS)]
    return (errors or lines[-1:] or [""])[0].strip().rstrip(".")
