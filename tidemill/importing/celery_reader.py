"""Prints the beat schedule of a Celery app as JSON. The Python that has the app runs it, so it needs nothing of ours.

Usage: python celery_reader.py MODULE[:ATTRIBUTE]. The attributes are those of celery.schedules
(https://docs.celeryq.dev/en/stable/reference/celery.schedules.html).
"""

from __future__ import annotations

import importlib
import json
import sys
from datetime import timedelta
from typing import Any

FIELDS = ("_orig_minute", "_orig_hour", "_orig_day_of_month", "_orig_month_of_year", "_orig_day_of_week")


def main() -> None:
    name, _, attribute = sys.argv[1].partition(":")
    sys.path[0] = ""  # instead of this file's own directory
    try:
        module = importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - the module is somebody else's code
        sys.exit(f"the module {name} cannot be imported: {type(error).__name__}: {error}")
    app_name, app = _app(module, attribute)
    entries = [_entry(key, each) for key, each in (app.conf.beat_schedule or {}).items()]
    said = {"app": app_name, "timezone": str(app.conf.timezone or "UTC"), "entries": entries}
    sys.stdout.write(f"\n{json.dumps(said)}\n")  # a line of its own, whatever the module has printed


def _app(module: Any, attribute: str) -> tuple[str, Any]:
    for name in [attribute] if attribute else ["app", "celery", *vars(module)]:
        found = getattr(module, name, None)
        if hasattr(found, "conf") and hasattr(found, "tasks"):
            return name, found
    where = f"{module.__name__}:{attribute}" if attribute else f"the module {module.__name__}"
    sys.exit(f"there is no Celery app in {where}: name it as MODULE:ATTRIBUTE, such as proj.celery:app")


def _entry(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    args, kwargs = list(entry.get("args") or ()), dict(entry.get("kwargs") or {})
    try:
        is_json = json.loads(json.dumps([args, kwargs])) == [args, kwargs]
    except (TypeError, ValueError):
        is_json = False
    return {
        "name": name,
        "task": entry["task"],
        "arguments": [args, kwargs] if is_json else None,
        "shown": repr((args, kwargs)),
        "options": sorted(entry.get("options") or {}),
        "schedule": _schedule(entry["schedule"]),
    }


def _schedule(schedule: Any) -> dict[str, Any]:
    """Of a number, a timedelta or one of Celery's schedules."""
    if all(hasattr(schedule, name) for name in FIELDS):
        return {"cron": [str(getattr(schedule, name)).replace(" ", "") for name in FIELDS]}
    every = getattr(schedule, "run_every", schedule)
    if isinstance(every, timedelta):
        every = every.total_seconds()
    return {"every": every} if isinstance(every, (int, float)) else {"other": repr(schedule)}


if __name__ == "__main__":
    main()
