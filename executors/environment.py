"""Builds the environment variables of a run's process: a clean set, the job's variables and its secrets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from schemas.dispatch import Dispatch
from schemas.errors import TidemillError
from schemas.times import rfc3339
from schemas.trace_ids import traceparent_of_process

_SECRET = "secret:"  # noqa: S105 - the prefix that names a secret, not one
MAX_SECRET_BYTES = 32 * 1024


class SecretError(TidemillError):
    """A secret that the job names cannot be read on this executor."""


def environment(
    dispatch: Dispatch, *, path: str, home: Path, checkpoint: Path, result: Path, secret: Callable[[str], str]
) -> dict[str, str]:
    """Raises `SecretError`. The job may override PATH, LANG, HOME and TRACEPARENT, but not the TIDEMILL_ variables."""
    job = {name: _resolve(value, secret) for name, value in dispatch.env.items()}
    return {
        "PATH": path,
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TRACEPARENT": traceparent_of_process(dispatch.run_id, dispatch.attempt, dispatch.traceparent),
        **job,
        "TIDEMILL_RUN_ID": dispatch.run_id,
        "TIDEMILL_ATTEMPT": str(dispatch.attempt),
        "TIDEMILL_FENCING_TOKEN": str(dispatch.token),
        "TIDEMILL_NOMINAL_TIME": rfc3339(dispatch.nominal_time),
        "TIDEMILL_TIMEOUT_SECONDS": _seconds(dispatch.limit),
        "TIDEMILL_CHECKPOINT": str(checkpoint),
        "TIDEMILL_RESULT": str(result),
    }


def read_secret(directory: Path | None, name: str) -> str:
    """The content of the file of that name, without a final newline. Raises `SecretError`, which never shows it."""
    if directory is None:
        raise SecretError(f"secret {name!r} cannot be resolved: TIDEMILL_SECRETS_DIR is not set on this executor")
    if not name or "/" in name or name.startswith("."):
        raise SecretError(f"secret {name!r} is not a file name")
    try:
        with (directory / name).open("rb") as file:
            value = file.read(MAX_SECRET_BYTES + 1)
        text = value.decode()
    except (OSError, ValueError) as error:  # the content is not UTF-8, or the name contains NUL
        raise SecretError(f"secret {name!r} cannot be read on this executor: {type(error).__name__}") from None
    if len(value) > MAX_SECRET_BYTES or "\0" in text:
        raise SecretError(f"secret {name!r} is longer than {MAX_SECRET_BYTES} bytes, or contains NUL")
    return text.removesuffix("\n")


def _resolve(value: str, secret: Callable[[str], str]) -> str:
    return secret(value.removeprefix(_SECRET)) if value.startswith(_SECRET) else value


def _seconds(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    return str(int(seconds)) if seconds.is_integer() else str(seconds)
