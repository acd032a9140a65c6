"""Edits a job: while the user types, the page shows what the database says, and when the job would be due."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

import htpy as h
from starlette.responses import HTMLResponse, Response

from schemas.times import rfc3339
from tidemill import owners
from tidemill.output import visible
from tidemill.queries import one
from tidemill.target import UsageError
from tidemill.web.ask import Ask
from tidemill.web.backend import Backend
from tidemill.web.job_form import GROUPS, LONG, Field, Outcome, attempt, changes, fields, write
from tidemill.web.layout import page, redirect
from tidemill.web.marks import state
from tidemill.web.pieces import clock, job_url, table


def make(ask: Ask, backend: Backend) -> Response:
    job_id = ask.parts["job_id"]
    with backend.writing() as postgres:
        known = fields(postgres, job_id)
        version = owners.JOB.found(postgres, job_id, one(postgres, "job", {"job_id": job_id}))["version"]
        outcome = attempt(postgres, job_id, {}, ask.now)
    return page(
        ask,
        f"Edit {visible(job_id)}",
        h.form(
            method="post",
            action=f"{job_url(job_id)}/edit",
            class_="edit",
            hx_post=f"{job_url(job_id)}/check",
            hx_trigger="input delay:300ms",
            hx_target="#outcome",
            hx_swap="outerHTML",
            hx_sync="this:replace",
        )[
            h.input(type="hidden", name="version", value=str(version)),
            h.div[(_group(title, names, known) for title, names in GROUPS.items())],
            h.aside[_outcome(ask, outcome), _buttons(job_id), h.p(class_="note")["An empty field is null."]],
        ],
    )


def check(ask: Ask, backend: Backend) -> Response:
    """What the change would do, as a part of the page."""
    job_id = ask.parts["job_id"]
    with backend.writing() as postgres:
        changed = changes(fields(postgres, job_id), _given(ask))
        outcome = attempt(postgres, job_id, changed, ask.now)
    return HTMLResponse(str(_outcome(ask, outcome)))


def save(ask: Ask, backend: Backend) -> Response:
    """Raises `UsageError` if another user has changed the job meanwhile, or for a value of the wrong type."""
    job_id = ask.parts["job_id"]
    with backend.writing() as postgres, postgres.transaction():
        postgres.execute("select from tidemill.jobs where job_id = %s for update", [job_id])
        job = owners.JOB.found(postgres, job_id, one(postgres, "job", {"job_id": job_id}))
        if ask.field("version") != str(job["version"]):
            raise UsageError(
                f"The job has version {job['version']} now, and this form was made from version {ask.field('version')}:"
                " somebody has changed it meanwhile. Open the form again."
            )
        write(postgres, job_id, changes(fields(postgres, job_id), _given(ask)))
    return redirect(f"{job_url(job_id)}?{urlencode({'asked': 'edit'})}")


def _given(ask: Ask) -> Mapping[str, str | None]:
    return {name: ask.field(name) for names in GROUPS.values() for name in names}


def _buttons(job_id: str) -> h.Element:
    return h.div(class_="actions")[
        h.button(type="submit", class_="main")["Save"], h.a(class_="button", href=job_url(job_id))["Cancel"]
    ]


def _group(title: str, names: tuple[str, ...], known: Mapping[str, Field]) -> h.Element:
    return h.section[h.header[h.h2[title]], (_field(known[name]) for name in names)]


def _field(field: Field) -> h.Element:
    hint = f"hint-{field.name}"
    return h.div(class_="field")[
        h.label(for_=f"f-{field.name}")[field.name.replace("_", " ")],
        _input(field, hint),
        h.p(class_="note", id=hint)[field.comment],
    ]


def _input(field: Field, hint: str) -> h.Node:
    name, own = field.name, f"f-{field.name}"
    if field.choices is not None:
        return h.select(id=own, name=name, aria_describedby=hint)[
            (
                h.option(value=each, selected=each == field.value)[each.replace("_", " ") or "as usual"]
                for each in field.choices
            )
        ]
    if name in LONG:
        return h.textarea(id=own, name=name, rows="3", aria_describedby=hint, spellcheck="false")[field.value]
    return h.input(id=own, name=name, value=field.value, aria_describedby=hint, autocomplete="off", spellcheck="false")


def _outcome(ask: Ask, outcome: Outcome) -> h.Element:
    return h.div(id="outcome", aria_live="polite")[
        h.p(class_="problem")[state("bad"), " ", visible(outcome.refusal)] if outcome.refusal else _next(ask, outcome)
    ]


def _next(ask: Ask, outcome: Outcome) -> Iterator[h.Node]:
    changed = ", ".join(each.replace("_", " ") for each in outcome.changed)
    yield h.p(class_="done" if changed else "empty")[
        (state("ok"), f" The database accepts it. Changed: {changed}.") if changed else "Nothing is changed yet."
    ]
    if outcome.is_paused:
        yield h.p(class_="empty")["It is paused, so it is not due."]
        return
    zone = outcome.timezone
    heads = (f"Due next, in {zone}", f"In {ask.timezone}", "")
    rows = (
        (
            h.time(datetime=rfc3339(at))[clock(at, zone, ask.now)],
            clock(at, ask.timezone, ask.now),
            h.span(class_="why")[note],
        )
        for at, note in outcome.next_times
    )
    yield table("The next times", heads, rows, empty="It would never be due by a schedule.")
