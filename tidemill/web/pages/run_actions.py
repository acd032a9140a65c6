"""The buttons of a run: each writes the row that the command line writes, then shows the run again."""

from __future__ import annotations

import htpy as h
from starlette.responses import Response

from schemas.words import RequestKind, RunKind, RunState
from tidemill.given import check_json
from tidemill.names import run_row
from tidemill.orders import open_runs, request_reruns, request_stop
from tidemill.target import Row
from tidemill.web.ask import Ask
from tidemill.web.backend import Backend
from tidemill.web.layout import redirect
from tidemill.web.pieces import action, done, note_field, run_url

SAID = {
    "cancel": "The run was asked to stop. The page shows its end as soon as it is known.",
    "terminate": "The run was asked to stop at once. The page shows its end as soon as it is known.",
    "rerun": "The run was asked to run again. The page shows its next attempt as soon as it is known.",
}
"""What the page says after a button, by the query parameter `asked`."""


def actions(run: Row) -> h.Node:
    """The buttons that can have an effect in the run's state; each asks for a note first."""
    url, state = run["run_id"], RunState(run["state"])
    found = []
    if _can_run_again(run, state):
        found.append(action("Rerun", run_url(url, "rerun"), "Run again", h.span[_rerun_fields(run)], note_field()))
    if not state.is_final:
        found.append(
            action(
                "Cancel",
                run_url(url, "cancel"),
                "Cancel the run",
                h.span["TERM, then KILL after its grace."],
                note_field(),
            )
        )
        found.append(
            action("Terminate", run_url(url, "terminate"), "Kill the run now", h.span["KILL at once."], note_field())
        )
    return h.div(class_="actions")[found] if found else None


def _can_run_again(run: Row, state: RunState) -> bool:
    is_range = (run["missed_count"] or 1) > 1
    return (state.is_final or state is RunState.RETRY_WAIT) and not is_range and run["kind"] != RunKind.BACKFILL.value


def _rerun_fields(run: Row) -> h.Node:
    downstream = h.label(class_="check")[
        h.input(type="checkbox", name="downstream", value="yes"), "Also all nodes that depend on it"
    ]
    return h.fragment[
        downstream if run["node_id"] else None,
        h.label[
            "Another payload (JSON)", h.input(name="payload", size="24", placeholder="the same", autocomplete="off")
        ],
    ]


def said(ask: Ask) -> h.Node:
    sentence = SAID.get(ask.one("asked") or "")
    return sentence and done(sentence)


def cancel(ask: Ask, backend: Backend) -> Response:
    return _stop(ask, backend, RequestKind.CANCEL)


def terminate(ask: Ask, backend: Backend) -> Response:
    return _stop(ask, backend, RequestKind.TERMINATE)


def _stop(ask: Ask, backend: Backend, kind: RequestKind) -> Response:
    run_id = ask.parts["run_id"]
    with backend.writing() as postgres:
        open_runs(postgres, run_id, None)
        request_stop(postgres, kind, run_id, None, ask.field("note"))
    return redirect(run_url(run_id) + f"?asked={kind.value}")


def rerun(ask: Ask, backend: Backend) -> Response:
    run_id, payload = ask.parts["run_id"], ask.field("payload")
    check_json("payload", payload)
    values = {"downstream": ask.field("downstream") is not None, "note": ask.field("note"), "payload": payload}
    with backend.writing() as postgres:
        run_row(postgres, run_id)
        request_reruns(postgres, [run_id], values, is_bulk=False)
    return redirect(run_url(run_id) + "?asked=rerun")
