"""Runs a program of the machine to its end; its failure is one sentence."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.errors import StackError

TIMEOUT_SECONDS = 300
ERRORS = ("E: ", "ERROR: ", "npm error ")
"""How apt, pip and npm begin the lines that matter."""


def finish(argv: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> None:
    """Run it in the folder. Raises `StackError` with its first error, else the last line that it wrote."""
    name = Path(argv[0]).name
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
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
    if done.returncode != 0:
        said = _error(done.stdout.decode(errors="replace").strip().splitlines())
        raise StackError(f"{name} failed: {said or f'exit code {done.returncode}'}.")


def _error(lines: Sequence[str]) -> str:
    errors = [line for line in lines if line.startswith(ERRORS)]
    return (errors or lines[-1:] or [""])[0].strip().rstrip(".")
