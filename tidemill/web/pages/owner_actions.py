"""The buttons that jobs and DAGs share: run now, pause, resume, backfill; each writes what the command line writes."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from urllib.parse import quote, urlencode

import htpy as h
from starlette.responses import Response

from schemas.ids import OwnerId, RequestId, request_run_id
from schemas.words import CatchupPolicy, Reprocess
from tidemill import owners
from tidemill.backfill import asked_range, plan, request_backfill
from tidemill.given import check_json
from tidemill.names import names_of
from tidemill.output import visible
from tidemill.queries import one
from tidemill.target import Row, UsageError
from tidemill.web.ask import Ask
from tidemill.web.backend import Backend
from tidemill.web.layout import page, redirect
from tidemill.web.pieces import NONE, action, dag_url, done, instant, job_url, note_field, run_link, run_url, table

SAID = {
    "pause": "It is paused: nothing new becomes due.",
    "resume": "It is resumed from now.",
    "edit": "The change is written.",
}
"""What the page says after a button, by the query parameter `asked`."""
LONGEST_NUMBER = 9
MOST_PLANNED = 200
"""The occurrences of a backfill that its preview lists."""
Make = Callable[[Ask, Backend], Response]


class OwnerPages:
    """The actions of one kind of owner, at `<its page>/run`, `/pause`, `/resume`, `/backfill`."""

    def __init__(self, owner: owners.Owner, part: str, url: Callable[[str], str]) -> None:
        self._owner, self._part, self._url = owner, part, url

    def buttons(self, row: Row) -> tuple[h.Node, ...]:
        url = self._url(row[self._owner.key])
        return (
            action("Run now", f"{url}/run", "Request a run", _run_fields(), css="main"),
            action("Resume", f"{url}/resume", "Resume from now", _resume_fields(row))
            if row["paused"]
            else action("Pause", f"{url}/pause", "Pause", note_field()),
            action("Backfill", f"{url}/backfill", "Show what would run", _backfill_fields(), method="get")
            if row["schedule"]
            else None,
        )

    def said(self, ask: Ask) -> h.Node:
        """What the page says after a button."""
        run_id = ask.one("asked_run")
        if run_id:
            return done("A run was requested: ", run_link(run_id), ".")
        sentence = SAID.get(ask.one("asked") or "")
        return sentence and done(sentence)

    def run(self, ask: Ask, backend: Backend) -> Response:
        name, payload = ask.parts[self._part], ask.field("payload")
        check_json("payload", payload)
        request_id = secrets.token_hex(8)
        with backend.writing() as postgres:
            values = {"request_id": request_id, "run_at": None, "payload": payload, "traceparent": None}
            one(postgres, "request_run", names_of(postgres, name) | values)
        return self._back(name, asked_run=request_run_id(OwnerId(name), RequestId(request_id)))

    def pause(self, ask: Ask, backend: Backend) -> Response:
        name = ask.parts[self._part]
        with backend.writing() as postgres:
            owners.change(postgres, self._owner, "pause", name, note=ask.field("note"))
        return self._back(name, asked="pause")

    def resume(self, ask: Ask, backend: Backend) -> Response:
        name = ask.parts[self._part]
        with backend.writing() as postgres, postgres.transaction():
            owners.resume_once(postgres, self._owner, name, ask.field("catchup"))
        return self._back(name, asked="resume")

    def preview(self, ask: Ask, backend: Backend) -> Response:
        """What a backfill would run, and the button that requests it."""
        name = ask.parts[self._part]
        with backend.reading() as postgres:
            values = _backfill(name, ask.one) | asked_range(postgres, name, ask.one("from") or "1d", ask.one("to"))
            planned = plan(postgres, values)
        return page(
            ask,
            f"Backfill of {visible(name)}",
            _lead(planned),
            self._confirm(ask, name, planned),
            _preview(ask, planned),
        )

    def backfill(self, ask: Ask, backend: Backend) -> Response:
        name = ask.parts[self._part]
        with backend.writing() as postgres:
            values = _backfill(name, ask.field) | asked_range(
                postgres, name, ask.field("from") or "1d", ask.field("to")
            )
            run_id = request_backfill(postgres, values)
        return redirect(run_url(run_id))

    def _confirm(self, ask: Ask, name: str, planned: list[Row]) -> h.Node:
        if not any(each["runs"] != "left alone" for each in planned):
            return None
        kept = ((key, ask.one(key)) for key in ("from", "to", "reprocess", "max_active", "backwards", "note"))
        return h.form(method="post", action=f"{self._url(name)}/backfill")[
            (h.input(type="hidden", name=key, value=value) for key, value in kept if value),
            h.button(type="submit", class_="main")["Run these"],
        ]

    def _back(self, name: str, **said: str) -> Response:
        return redirect(f"{self._url(name)}?{urlencode(said, quote_via=quote)}")


JOBS = OwnerPages(owners.JOB, "job_id", job_url)
DAGS = OwnerPages(owners.DAG, "dag_id", dag_url)


def _run_fields() -> h.Node:
    return h.label[
        "Payload (JSON)", h.input(name="payload", size="24", placeholder="as it is defined", autocomplete="off")
    ]


def _resume_fields(row: Row) -> h.Element:
    return h.label[
        "Of what was due during the pause",
        h.select(name="catchup")[
            (
                h.option(value=each.value, selected=each.value == row["catchup_after_pause"])[WORDS[each]]
                for each in CatchupPolicy
            )
        ],
    ]


WORDS = {
    CatchupPolicy.SKIP: "run nothing",
    CatchupPolicy.LATEST: "run the latest",
    CatchupPolicy.ALL: "run all",
}


def _backfill_fields() -> h.Node:
    return h.fragment[
        h.label["From", h.input(name="from", size="20", placeholder="7d, or 2026-11-21", required=True)],
        h.label["To", h.input(name="to", size="20", placeholder="now")],
        h.label[
            "Run again what had an attempt",
            h.select(name="reprocess")[(h.option(value=each.value)[each.value] for each in Reprocess)],
        ],
        h.label["Runs at a time", h.input(name="max_active", type="number", min="1", value="1")],
        h.label(class_="check")[h.input(type="checkbox", name="backwards", value="yes"), "The newest first"],
        note_field(),
    ]


def _backfill(name: str, given: Callable[[str], str | None]) -> Row:
    """The values of a backfill, from a form or from a URL; Postgres refuses what is not allowed."""
    return {
        "request_id": secrets.token_hex(8),
        "owner": name,
        "reprocess": _reprocess(given("reprocess")),
        "max_active_runs": _number(given("max_active")),
        "run_backwards": given("backwards") is not None,
        "note": given("note"),
    }


def _number(text: str | None) -> int:
    """Postgres says what is too large."""
    return int(text[:LONGEST_NUMBER]) if text and text.isdecimal() else 1


def _reprocess(text: str | None) -> str:
    """Raises `UsageError`."""
    if text and text not in {each.value for each in Reprocess}:
        raise UsageError(f"there is no way {text!r} to reprocess")
    return text or Reprocess.NONE.value


def _lead(planned: list[Row]) -> h.Element:
    runs = sum(each["runs"] != "left alone" for each in planned)
    return h.p(class_="lead")[f"{runs:,} of {len(planned):,} occurrences would run. Live runs go first."]


def _preview(ask: Ask, planned: list[Row]) -> h.Node:
    rows = (
        (instant(ask, each["nominal_time"]), each["runs"], each["attempt"] or NONE) for each in planned[:MOST_PLANNED]
    )
    return h.fragment[
        table("Occurrences", ("Nominal time", "Runs", "Attempt"), rows, empty="Nothing was due in this time."),
        h.p(class_="empty")[f"The first {MOST_PLANNED} are shown."] if len(planned) > MOST_PLANNED else None,
    ]
