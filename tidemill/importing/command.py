"""`tidemill import …`: shows which jobs a crontab, CronJobs or a beat schedule become, and writes them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tidemill.importing.celery import read_celery
from tidemill.importing.crontab import read_crontab
from tidemill.importing.kubernetes import read_kubernetes
from tidemill.importing.plan import Plan
from tidemill.importing.write import REFUSED, Written, write
from tidemill.output import say, show_json, show_rows
from tidemill.put import Columns
from tidemill.target import DEFAULT_DATA, AsJson, Data, RefusedError, UsageError, connections

app = typer.Typer(
    no_args_is_help=True, help="Make jobs of a crontab, of CronJobs in Kubernetes or of a beat schedule in Celery."
)
SYSTEM_CRONTABS = ("/etc/crontab", "/etc/cron.d")
ZONES = "zoneinfo/"
JOB_COLUMNS = ("source", "job_id", "schedule", "timezone", "command", "outcome")
REJECTED_COLUMNS = ("source", "entry", "why")

Prefix = Annotated[str, typer.Option(help="A text before each job's id, such as web1-.")]
Tenant = Annotated[str | None, typer.Option(help="The tenant that owns the jobs.")]
Write = Annotated[bool, typer.Option("--write", help="Write the jobs; without it, only show them.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="The file; - reads standard input.")]


@app.command()
def crontab(
    path: File,
    prefix: Prefix = "",
    system: Annotated[
        bool | None, typer.Option("--system/--user", help="Whether the sixth field is a user. [default: by the path]")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="The zone where no CRON_TZ says another. [default: this machine's]")
    ] = None,
    tenant: Tenant = None,
    write_them: Write = False,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Make a job of each line of a crontab. The same line is the same job again at the next import."""
    is_system = str(path.absolute()).startswith(SYSTEM_CRONTABS) if system is None else system
    zone = timezone or local_zone()
    plan = read_crontab(_text(path), timezone=zone, prefix=prefix, with_user=is_system)
    _finish(plan, data, tenant, write_them=write_them, as_json=as_json)


@app.command()
def kubernetes(
    path: File,
    prefix: Prefix = "",
    tenant: Tenant = None,
    write_them: Write = False,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Make a job of each CronJob in a YAML file, such as `kubectl get cronjobs -o yaml` writes it."""
    _finish(read_kubernetes(_text(path), prefix=prefix), data, tenant, write_them=write_them, as_json=as_json)


@app.command()
def celery(
    module: Annotated[str, typer.Argument(metavar="MODULE", help="The module of the app, such as proj.celery:app.")],
    python: Annotated[str, typer.Option(help="The Python that has the app and Celery.")] = "python3",
    prefix: Prefix = "",
    tenant: Tenant = None,
    write_them: Write = False,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Make a job of each entry of a Celery app's beat schedule. The module is imported, so its code runs."""
    _finish(read_celery(module, python=python, prefix=prefix), data, tenant, write_them=write_them, as_json=as_json)


def local_zone() -> str:
    """The name of this machine's time zone; UTC if it has none."""
    if named := os.environ.get("TZ"):
        return named.removeprefix(":")
    target = str(Path("/etc/localtime").resolve())
    return target.partition(ZONES)[2] or "UTC"


def _text(path: Path) -> str:
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not text in UTF-8: {error.reason} at byte {error.start}") from error


def _finish(plan: Plan, data: Path, tenant: str | None, *, write_them: bool, as_json: bool) -> None:
    """Write the plan if it is asked, and show it. Raises `RefusedError` if an entry has become no job."""
    given: Columns = {"tenant": tenant} if tenant else {}
    written: dict[str, Written] = {}
    if write_them:
        written = {each.job_id: each for each in write(plan, connections(data), given)}
    jobs = [_row(each, written.get(each.job_id)) for each in plan.jobs]
    rejected = [{"source": each.source, "entry": each.entry, "why": each.why} for each in plan.rejected]
    if as_json:
        show_json({"jobs": jobs, "rejected": rejected, "notes": plan.notes, "written": write_them})
    else:
        _show(jobs, rejected, plan, write_them=write_them)
    refused = len(rejected) + sum(each.outcome == REFUSED for each in written.values())
    if write_them and refused:
        raise RefusedError(f"{refused} of {len(jobs) + len(rejected)} entries became no job")


def _row(job: Any, written: Written | None) -> dict[str, Any]:
    outcome = {} if written is None else {"outcome": written.outcome, "why": written.why}
    return {
        "source": job.source,
        "job_id": job.job_id,
        **job.columns,
        "command": job.command,
        "notes": job.notes,
        **outcome,
    }


def _show(jobs: list[dict[str, Any]], rejected: list[dict[str, Any]], plan: Plan, *, write_them: bool) -> None:
    if jobs:
        show_rows(jobs, JOB_COLUMNS[: None if write_them else -1], as_json=False)
    for each in jobs:
        for note in (*each["notes"], *([each["why"]] if each.get("why") else [])):
            say(f"{each['source']}: {note}.")
    if rejected:
        say("These become no job:")
        show_rows(rejected, REJECTED_COLUMNS, as_json=False)
    for note in plan.notes:
        say(f"{note[0].upper()}{note[1:]}.")
    if not jobs and not rejected:
        say("The file has no entry that could become a job.")
    elif not write_them and jobs:
        say(f"Nothing is written yet: add --write to write {_count(len(jobs))}.")


def _count(jobs: int) -> str:
    return "this job" if jobs == 1 else f"these {jobs} jobs"
