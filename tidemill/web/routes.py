"""Every page with its path: the table of contents of the web page. A new page is one line here."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from starlette.responses import Response

from tidemill.web import zone
from tidemill.web.ask import Ask
from tidemill.web.backend import Backend
from tidemill.web.pages import (
    bulk,
    dag,
    dag_actions,
    dags,
    fleet,
    home,
    job,
    job_edit,
    jobs,
    problems,
    run,
    run_actions,
    runs,
)
from tidemill.web.pages.owner_actions import DAGS, JOBS

Make = Callable[[Ask, Backend], Response]
"""Called in a thread. Raises `NotFoundError` (404), `UsageError` (422) or another `TidemillError` (409)."""


class Page(msgspec.Struct, frozen=True):
    method: str
    path: str
    """`{name}` is one segment of the path, percent-encoded; `Ask.parts` has it decoded."""
    make: Make


PAGES = (
    Page("GET", "/", home.make),
    Page("GET", "/runs", runs.make),
    Page("GET", "/bulk/cancel", bulk.preview_cancel),
    Page("POST", "/bulk/cancel", bulk.cancel),
    Page("GET", "/bulk/rerun", bulk.preview_rerun),
    Page("POST", "/bulk/rerun", bulk.rerun),
    Page("GET", "/runs/{run_id}", run.make),
    Page("GET", "/runs/{run_id}/log", run.more_log),
    Page("GET", "/runs/{run_id}/log.txt", run.whole_log),
    Page("POST", "/runs/{run_id}/cancel", run_actions.cancel),
    Page("POST", "/runs/{run_id}/terminate", run_actions.terminate),
    Page("POST", "/runs/{run_id}/rerun", run_actions.rerun),
    Page("GET", "/jobs", jobs.make),
    Page("GET", "/jobs/{job_id}", job.make),
    Page("GET", "/jobs/{job_id}/edit", job_edit.make),
    Page("POST", "/jobs/{job_id}/edit", job_edit.save),
    Page("POST", "/jobs/{job_id}/check", job_edit.check),
    Page("GET", "/jobs/{job_id}/backfill", JOBS.preview),
    Page("POST", "/jobs/{job_id}/backfill", JOBS.backfill),
    Page("POST", "/jobs/{job_id}/run", JOBS.run),
    Page("POST", "/jobs/{job_id}/pause", JOBS.pause),
    Page("POST", "/jobs/{job_id}/resume", JOBS.resume),
    Page("GET", "/dags", dags.make),
    Page("GET", "/dags/{dag_id}", dag.make),
    Page("GET", "/dags/{dag_id}/backfill", DAGS.preview),
    Page("POST", "/dags/{dag_id}/backfill", DAGS.backfill),
    Page("POST", "/dags/{dag_id}/run", DAGS.run),
    Page("POST", "/dags/{dag_id}/pause", DAGS.pause),
    Page("POST", "/dags/{dag_id}/resume", DAGS.resume),
    Page("POST", "/dags/{dag_id}/mark", dag_actions.mark),
    Page("POST", "/dags/{dag_id}/rerun", dag_actions.rerun),
    Page("GET", "/problems", problems.make),
    Page("GET", "/fleet", fleet.make),
    Page("POST", "/zone", zone.choose),
)
