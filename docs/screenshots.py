"""Takes a screenshot of each page of the web page, over a local stack that runs jobs: `make screenshots`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from playwright.sync_api import Page, sync_playwright
from psycopg.rows import dict_row

from infra import packages, stack
from infra.settings import InfraSettings
from infra.stack import StackOptions
from schemas.settings import read

FOLDER = Path(__file__).with_name("screenshots")
DAG = Path(__file__).with_name("screenshots.yaml")
WIDTH, HEIGHT = 1280, 900
TALLEST = 1500
"""A longer page is cut: a picture in a document shows its beginning."""
STOP_SECONDS = 60.0
SETTLE_SECONDS = 60.0
"""Schedules run for so long before the pictures are taken."""
LIVE_MS = 1500
OPTIONS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--font-render-hinting=none")

SALES, OPS = "--tenant=sales", "--tenant=ops"
SOME = "sleep 0.$(shuf -i 1-8 -n 1)"
JOBS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "nightly-report": (
        "30 2 * * *", f"{SOME}; [ $(shuf -i 0-14 -n 1) -gt 0 ]", (SALES, "--timezone=Europe/Berlin", "--timeout=2s")
    ),
    "invoice-sync": ("*/15 * * * *", f"{SOME}; echo 42 invoices", (SALES,)),
    "session-cleanup": ("@every 5s", SOME, (OPS,)),
    "price-feed": (
        "@every 3s",
        "sleep 0.1; echo reading prices; [ $(shuf -i 0-6 -n 1) -gt 0 ] || { echo no answer >&2; exit 3; }",
        (OPS, "--max-attempts=2", "--set=initial_interval=1s"),
    ),
    "search-index": ("@every 20s", "sleep 27", (OPS, "--timeout=50s", "--overlap=skip")),
    "report-mailer": ("0 7 * * mon-fri", "echo sent", (SALES, "--timezone=America/New_York")),
    "old-export": ("@daily", "true", (OPS,)),
    "geo-import": (
        "@every 30s",
        "echo cannot read the feed >&2; exit 1",
        (OPS, "--max-attempts=2", "--set=initial_interval=1s"),  # it ends dead, which is a problem
    ),
}  # fmt: skip
"""By name: schedule, command, and further options of `tidemill job put`."""
TENANTS = """insert into tidemill.jobs (job_id, executable, schedule)
             select 'tenant-' || lpad(number::text, 3, '0'), executable, '0 ' || least(number / 60, 6) || '-20 * * *'
             from tidemill.jobs, generate_series(1, 900) as number where job_id = 'old-export'"""
"""Jobs of the full hour, as every deployment has them."""
BACKFILLS = (("nightly-report", "100d"), ("invoice-sync", "2d"))
PAGES = (
    ("home", "/"),
    ("runs", "/runs"),
    ("jobs", "/jobs"),
    ("job", "/jobs/nightly-report"),
    ("edit", "/jobs/nightly-report/edit"),
    ("dags", "/dags"),
    ("dag", "/dags/warehouse"),
    ("fleet", "/fleet"),
    ("problems", "/problems"),
)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tidemill-screenshots-") as folder, running(Path(folder)) as found:
        write_rows(found.environment)
        time.sleep(SETTLE_SECONDS)
        take(found.addresses["web"].rstrip("/"), found.environment)


@contextmanager
def running(data: Path) -> Iterator[stack.Status]:
    options = StackOptions(data=data, workers=2, executors=2, until_parent_exits=True)
    try:
        yield stack.start_detached(options)
    finally:
        stack.stop(data, STOP_SECONDS)


def write_rows(environment: Mapping[str, str]) -> None:
    for name, (schedule, command, more) in JOBS.items():
        tidemill(environment, "job", "put", name, f"--schedule={schedule}", f"--command={command}", *more)
    with psycopg.connect(environment["TIDEMILL_POSTGRES_DSN"]) as postgres:
        postgres.execute(TENANTS)
    tidemill(environment, "job", "pause", "old-export", "--note=replaced by the warehouse")
    tidemill(environment, "dag", "put", str(DAG))
    tidemill(environment, "backfill", "warehouse", "--from=14m", "--max-active=2")
    for name, since in BACKFILLS:
        tidemill(environment, "backfill", name, f"--from={since}", "--max-active=8")


def tidemill(environment: Mapping[str, str], *words: str) -> None:
    subprocess.run([sys.executable, "-m", "tidemill", *words], env={**os.environ, **environment}, check=True)


def take(address: str, environment: Mapping[str, str]) -> None:
    program = packages.program("chromium", read(InfraSettings), print)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS, headless=True)
        for scheme, pages in (("light", [*PAGES, ("run", run_path(environment))]), ("dark", PAGES[:1])):
            context = browser.new_context(
                viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme, timezone_id="Europe/Berlin"
            )
            page = context.new_page()
            page.goto(address)  # the first visit tells the server the reader's zone
            page.wait_for_timeout(LIVE_MS)
            for name, path in pages:
                page.goto(f"{address}{path}")
                page.wait_for_timeout(LIVE_MS)
                picture(page, FOLDER / f"{name}{'-dark' if scheme == 'dark' else ''}.png")
            context.close()
        browser.close()


def picture(page: Page, file: Path) -> None:
    height = min(int(page.evaluate("document.documentElement.scrollHeight")), TALLEST)
    page.screenshot(path=file, full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})


def run_path(environment: Mapping[str, str]) -> str:
    """The page of a run that succeeded at its second attempt, or of the newest one that ended."""
    query = """select run_id from tidemill.runs where job_id = any (%s) and finished_at is not null
               order by (state = 'succeeded' and attempt > 1) desc, nominal_time desc limit 1"""
    found = one(environment, query, [["price-feed"]])
    return f"/runs/{quote(found['run_id'], safe='')}"


def one(environment: Mapping[str, str], query: str, values: Sequence[object]) -> dict[str, Any]:
    with psycopg.connect(environment["TIDEMILL_POSTGRES_DSN"], row_factory=dict_row) as postgres:
        found = postgres.execute(query.encode(), values).fetchone()
    assert found is not None, query
    return found


if __name__ == "__main__":
    main()
