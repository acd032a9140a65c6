"""`tidemill job …`: rows of `tidemill.jobs`."""

from __future__ import annotations

from typing import Annotated

import typer

from tidemill import owners
from tidemill.complete import job_names
from tidemill.output import complain, show_fields, show_json, show_rows
from tidemill.put import put
from tidemill.queries import one, rows
from tidemill.target import DEFAULT_DATA, AsJson, Data, reading

app = typer.Typer(no_args_is_help=True, help="Put, list, show, pause, resume and delete jobs.")
app.command("put")(put)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The job's id.", autocompletion=job_names)]
LIST_COLUMNS = ("job_id", "schedule", "timezone", "paused", "timeout", "max_attempts", "last_run", "last_state")


@app.command("list")
def list_jobs(
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
    tenant: Annotated[str | None, typer.Option(help="Only jobs of this tenant.")] = None,
    after: Annotated[
        str | None,
        typer.Option(help="Show the page after this job, the last one of the page before.", autocompletion=job_names),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The size of a page.")] = 50,
) -> None:
    """List jobs with their last runs, by name, one page at a time."""
    values = {"tenant": tenant, "after": after, "limit": limit + 1}
    with reading(data) as postgres:
        found = rows(postgres, "jobs", values)
    show_rows(found[:limit], LIST_COLUMNS, as_json=as_json)
    if len(found) > limit:
        complain(f"there are more jobs: add --after {found[limit - 1]['job_id']}")


@app.command()
def show(name: Name, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Show one job with all its columns."""
    with reading(data) as postgres:
        job = owners.JOB.found(postgres, name, one(postgres, "job", {"job_id": name}))
    if as_json:
        show_json(job)
    else:
        show_fields(job)


@app.command()
def pause(
    name: Name,
    data: Data = DEFAULT_DATA,
    note: Annotated[str | None, typer.Option(help="The reason; `tidemill job show` shows it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Pause a job: nothing new becomes due. Open runs continue."""
    owners.pause(owners.JOB, data, name, note, as_json=as_json)


@app.command()
def resume(
    name: Name,
    data: Data = DEFAULT_DATA,
    catchup: Annotated[
        str | None, typer.Option(help="What to run of what was due during the pause: skip, latest or all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Resume a paused job from now."""
    owners.resume(owners.JOB, data, name, catchup, as_json=as_json)


@app.command()
def delete(name: Name, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Delete a job. Its runs stay in the history."""
    owners.delete(owners.JOB, data, name, as_json=as_json)
