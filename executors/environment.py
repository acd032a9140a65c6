"""Builds the environment variables of a run's process: a clean set, the job's variables and its secrets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from executors.attempt_dirs import AttemptDir
from executors.secrets.store import PREFIX
from schemas.dispatch import Dispatch
from schemas.times import rfc3339
from schemas.trace_ids import traceparent_of_process


def environment(dispatch: Dispatch, directory: AttemptDir, *, path: str, secrets: Mapping[str, str]) -> dict[str, str]:
    """`secrets` are the values by name.

    The job may override PATH, LANG, HOME, TMPDIR and TRACEPARENT, but not the TIDEMILL_ variables.
    """
    job = {name: _resolve(value, secrets) for name, value in dispatch.env.items()}
    return {
        "PATH": path,
        "LANG": "C.UTF-8",
        "HOME": str(directory.cwd),
        "TMPDIR": str(directory.cwd),
        "TRACEPARENT": traceparent_of_process(dispatch.run_id, dispatch.attempt, dispatch.traceparent),
        **job,
        "TIDEMILL_RUN_ID": dispatch.run_id,
        "TIDEMILL_ATTEMPT": str(dispatch.attempt),
        "TIDEMILL_FENCING_TOKEN": str(dispatch.token),
        "TIDEMILL_NOMINAL_TIME": rfc3339(dispatch.nominal_time),
        "TIDEMILL_TIMEOUT_SECONDS": _seconds(dispatch.limit),
        "TIDEMILL_INPUT": "payload" if dispatch.results is None else "results",
        "TIDEMILL_CHECKPOINT": str(directory.checkpoint),
        "TIDEMILL_RESULT": str(directory.result),
    }


def _resolve(value: str, secrets: Mapping[str, str]) -> str:
    return secrets[value.removeprefix(PREFIX)] if value.startswith(PREFIX) else value


def _seconds(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    return str(int(seconds)) if seconds.is_integer() else str(seconds)
