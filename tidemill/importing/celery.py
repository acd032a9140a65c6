"""Reads the beat schedule of a Celery app: each entry becomes a job that executes the task in its own process."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from tidemill.importing.plan import Plan, PlannedJob, Rejected, planned
from tidemill.target import UsageError

READER = Path(__file__).with_name("celery_reader.py")
READ_SECONDS = 60
UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
PROGRAM = "from {module} import {app} as app; app.tasks[{task!r}].apply(args={args}, kwargs={kwargs}, throw=True)"
NEEDS = (
    "python3 of the executors has to find Celery and the module {module}: PATH and PYTHONPATH go into the column env"
)
BOTH_DAYS = (
    "it restricts the day of the month and the day of the week: Celery wants both at the same time, cron either; "
    "restrict one of them, and let the task look at the other"
)


class _NoJobError(Exception):
    """The sentence says why the entry cannot become a job."""


def read_celery(name: str, *, python: str = "python3", prefix: str = "") -> Plan:
    """The plan of the Celery app in a module, such as `proj.celery` or `proj.celery:app`.

    `python` imports the module, so its code runs. Raises `UsageError` if that fails, or if the module has no app.
    """
    said = _read(name, python)
    module = name.partition(":")[0]
    return planned(_entries(said, module, prefix), [NEEDS.format(module=module)])


def _read(name: str, python: str) -> dict[str, Any]:
    command = [python, str(READER), name]
    try:
        done = subprocess.run(command, capture_output=True, timeout=READ_SECONDS, check=False)
    except OSError as error:
        raise UsageError(f"--python {python!r} cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"the module {name} was not imported within {READ_SECONDS} s") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise UsageError(lines[-1] if lines else f"{python} ended with exit code {done.returncode}")
    # What the module itself prints stands before.
    said: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
    return said


def _entries(said: Mapping[str, Any], module: str, prefix: str) -> Iterator[PlannedJob | Rejected]:
    for entry in said["entries"]:
        source = f"entry {entry['name']}"
        try:
            yield PlannedJob(
                source=source,
                job_id=f"{prefix}{entry['name']}",
                command=_command(entry, module, said["app"]),
                columns={
                    "schedule": _when(entry["schedule"]),
                    "timezone": said["timezone"],
                    "overlap_policy": "allow_all",
                },
                notes=tuple(
                    f"its option {name} has no meaning here: no queue of Celery is used" for name in entry["options"]
                ),
            )
        except _NoJobError as error:
            yield Rejected(source=source, entry=entry["task"], why=str(error))


def _command(entry: Mapping[str, Any], module: str, app: str) -> str:
    """A command line that executes the task, and fails if the task does."""
    if entry["arguments"] is None:
        raise _NoJobError(f"its arguments {entry['shown']} are no JSON values: make them texts, numbers or lists")
    args, kwargs = entry["arguments"]
    text = PROGRAM.format(module=module, app=app, task=entry["task"], args=args, kwargs=kwargs)
    return f"exec python3 -c {shlex.quote(text)}"


def _when(schedule: Mapping[str, Any]) -> str:
    match schedule:
        case {"cron": [_, _, day_of_month, _, day_of_week]} if "*" not in (day_of_month, day_of_week):
            raise _NoJobError(BOTH_DAYS)
        case {"cron": fields}:
            return " ".join(fields)
        case {"every": seconds}:
            return _every(seconds)
        case _:
            raise _NoJobError(f"its schedule {schedule['other']} is neither an interval nor a crontab")


def _every(seconds: float) -> str:
    found = (f"@every {int(seconds // size)}{unit}" for size, unit in UNITS if seconds >= size and not seconds % size)
    return next(found, f"@every {seconds:g}s")
