"""Reads everything that the page of a run shows."""

from __future__ import annotations

from typing import Any

import msgspec
import psycopg

from schemas.ids import owner_of_run
from tidemill import json_text
from tidemill.explain.look import find_history, read_run
from tidemill.explain.story import Seen, story
from tidemill.explain.telling import Explanation
from tidemill.queries import now_of, one
from tidemill.target import NotFoundError, Row


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    seen: Seen
    told: Explanation
    payload: Any
    """What the process gets on standard input, as far as it is known; None: nothing."""
    payload_from: str
    """Whose payload it is, in words."""

    @property
    def run(self) -> Row:
        return self.seen.run


def read_facts(postgres: psycopg.Connection[Row], run: Row) -> RunFacts:
    history = find_history(postgres, str(owner_of_run(run["run_id"])))
    seen = read_run(postgres, run, history, now_of(postgres))
    payload, whose = _payload(postgres, seen)
    return RunFacts(seen=seen, told=story(seen), payload=payload, payload_from=whose)


def _payload(postgres: psycopg.Connection[Row], seen: Seen) -> tuple[Any, str]:
    """The payload of the latest request that gives one; otherwise the one of the definition."""
    for name in ("rerun_id", "request_id"):
        found = seen.run[name] and one(postgres, "web_request", seen.run | {"request_id": seen.run[name]})
        if found and found["payload"] is not None:
            return found["payload"], f"of the request {seen.run[name]}"
    if seen.spec is None or seen.spec.payload is None:
        return None, ""
    return json_text.read(bytes(seen.spec.payload)), "of the definition"


def run_or_none(postgres: psycopg.Connection[Row], run_id: str) -> Row | None:
    """None: the run is not in the database. Raises `NotFoundError` if it is no run id."""
    found = one(postgres, "run", {"run_id": run_id})
    if found is None and owner_of_run(run_id) is None:
        raise NotFoundError(f"{run_id!r} is not the id of a run: a run is <job>@<time> or <job>#<request>")
    return found
