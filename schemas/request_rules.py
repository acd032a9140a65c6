"""The checks of requests that come from the topic; the triggers of the table check the same in SQL (tables/0006)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from schemas.dag import MAX_NODES
from schemas.errors import MOST_SHOWN, TidemillError, one_line, shown
from schemas.ids import dag_run_of, is_id, occurrence_run_id, owner_of_run
from schemas.request import NodeEnd, Request
from schemas.times import EPOCH, LATEST
from schemas.trace_ids import TRACEPARENT
from schemas.words import MarkAs, RequestKind

SET_BY_US = frozenset({"owner", "backfill"})
"""Fields that a producer must not write: the job or DAG decides the partition, and only the table takes backfills."""
FIELDS = tuple(name for name in Request.__struct_fields__ if name not in SET_BY_US)
_OF_THE_PAST = frozenset({RequestKind.RERUN, RequestKind.MARK})
OF_KINDS: dict[str, tuple[RequestKind, ...]] = {
    "run_at": (RequestKind.RUN,),
    "payload": (RequestKind.RUN, RequestKind.RERUN, RequestKind.MARK),
    "traceparent": (RequestKind.RUN, RequestKind.RERUN, RequestKind.MARK),
    "mark_as": (RequestKind.MARK,),
    "downstream": (RequestKind.RERUN,),
    "attempt": (RequestKind.RERUN,),
    "nominal_time": (RequestKind.RERUN, RequestKind.MARK),
    "nodes": (RequestKind.RERUN, RequestKind.MARK),
}
"""Fields that only some kinds take. A rerun and a mark may bring what the owner no longer knows."""
MAX_PAYLOAD_BYTES = 256 * 1024
MAX_NOTE_CHARACTERS = 1_000
MAX_RUN_ID_CHARACTERS = 700
"""Enough for a job or DAG id, a request id, a node id and their separators."""
MAX_ATTEMPT = 1_000_000
KINDS = tuple(each.value for each in RequestKind)
_LEFT_OUT = (None, 0, False)
_MARKS = tuple(each.value for each in MarkAs)
_AN_ID = "an id has 1 to 200 characters, no control characters and none of @ # / ~"
_A_RUN_ID = (
    "a run id is <job_id or dag_id>@<nominal time> or <job_id or dag_id>#<request_id>, and for a node also /<node_id>"
)
_A_NODE_ID = (
    "after the / of a run id comes the id of one node: 1 to 200 characters, no control characters and none of @ # / ~"
)
_A_TRACEPARENT = (
    "it must be 00-<trace id>-<span id>-<flags>, of 32, 16 and 2 digits from 0 to f in lower case, and no id of "
    "zeros alone"
)
_NAMED = "a request needs job_id or dag_id; both may be null only if run_id is set"


class RefusedRequestError(TidemillError):
    """A request breaks a rule."""


def refusal(field: str, value: str | None, allowed: str) -> RefusedRequestError:
    """The same message as `tidemill.refuse`."""
    return RefusedRequestError(f"{field} is {_quoted(value)}: {allowed}")


def _quoted(value: str | None) -> str:
    if value is None:
        return "null"
    start = one_line(value[:MOST_SHOWN])
    return f'"{start}"' if len(value) <= MOST_SHOWN else f'"{start}..." ({len(value)} characters)'


def id_shown(value: object) -> str:
    """An id as it is; another value shortened."""
    return value if isinstance(value, str) and is_id(value) else shown(value)


def check_fields(row: dict[str, Any]) -> None:
    """Refuses unknown fields, as the table does: with a misspelled `run_at` a job would run now, and with a misspelled
    `run_id` all runs would be cancelled.
    """
    for name in row:
        if name not in FIELDS:
            raise RefusedRequestError(f"it has the unknown field {shown(name)}; allowed are {', '.join(FIELDS)}")
    if row.get("request_id") is None:
        raise refusal("request_id", None, _AN_ID)
    for name, value, allowed in (("kind", row.get("kind", KINDS[0]), KINDS), ("mark_as", row.get("mark_as"), _MARKS)):
        if value not in allowed and not (name == "mark_as" and value is None):
            raise refusal(name, value if value is None else str(value), f"allowed are {', '.join(allowed)}")
    if row.get("kind") == RequestKind.BACKFILL.value:
        instead = "insert a row into tidemill.requests instead, whose trigger knows what has run already"
        raise refusal("kind", "backfill", instead)


def owner_named(row: dict[str, Any]) -> Any:
    """The job or DAG of a request, from `job_id`, `dag_id` or `run_id`; its type is not checked yet."""
    job_id, dag_id, run_id = row.get("job_id"), row.get("dag_id"), row.get("run_id")
    if job_id is not None and dag_id is not None:
        allowed = f"job_id is {id_shown(job_id)}; a request may name only one of them"
        raise refusal("dag_id", str(dag_id), allowed)
    named = dag_id if job_id is None else job_id
    if named is None and isinstance(run_id, str):
        named = check_run_id(run_id)
    if named is None:
        raise refusal("job_id", None, _NAMED)
    return named


def check_request(request: Request, payload_bytes: int) -> None:
    """Raises `RefusedRequestError` with a sentence that names the field and what is allowed."""
    check_id("request_id", request.request_id)
    if request.run_id is not None:
        check_run_id(request.run_id)
    check_id("job_id" if request.dag_id is None else "dag_id", request.job_id)
    check_instants(request)
    if payload_bytes > MAX_PAYLOAD_BYTES:
        allowed = f"at most {MAX_PAYLOAD_BYTES // 1024} KB ({MAX_PAYLOAD_BYTES} bytes) are allowed"
        raise RefusedRequestError(f"payload has {payload_bytes} bytes as JSON: {allowed}")
    _check_attempt(request.attempt)
    if request.note is not None and len(request.note) > MAX_NOTE_CHARACTERS:
        raise refusal("note", request.note, f"a note has at most {MAX_NOTE_CHARACTERS} characters")
    check_traceparent(request)
    _check_kind(request)
    if request.run_id is not None:
        _check_run(request, request.run_id)


def check_id(field: str, value: str) -> None:
    if not is_id(value):
        raise refusal(field, value, _AN_ID)


def check_run_id(run_id: str) -> str:
    """Returns the job or DAG id that the run id names. `tidemill.check_run_id` is the same check in SQL."""
    if len(run_id) > MAX_RUN_ID_CHARACTERS:
        raise refusal("run_id", run_id, f"a run id has at most {MAX_RUN_ID_CHARACTERS} characters")
    owner = owner_of_run(run_id)
    if owner is None:
        raise refusal("run_id", run_id, _A_RUN_ID)
    _, slash, node_id = run_id.partition("/")
    if slash and not is_id(node_id):
        raise refusal("run_id", run_id, _A_NODE_ID)
    return owner


def check_instants(request: Request) -> None:
    fields = {name: getattr(request, name) for name in ("created_at", "run_at", "nominal_time")}
    if request.backfill:
        fields |= {name: getattr(request.backfill, name) for name in ("backfill_from", "backfill_to")}
    for name, value in fields.items():
        if value is None:
            continue
        if value.tzinfo is None:
            raise refusal(name, value.isoformat(sep=" "), "it must end in Z or an offset such as +02:00")
        if not EPOCH <= value <= LATEST:
            raise refusal(name, value.isoformat(sep=" "), "it must be a time from 1970 to 2199")


def check_traceparent(request: Request) -> None:
    """`tidemill.check_traceparent` is the same check in SQL."""
    if request.traceparent is not None and not TRACEPARENT.fullmatch(request.traceparent):
        raise refusal("traceparent", request.traceparent, _A_TRACEPARENT)


def completed(request: Request) -> Request:
    """Adds the nominal time to a rerun or mark without one, if the run id contains it."""
    run_id, nominal_time = request.run_id, request.nominal_time
    if request.kind not in _OF_THE_PAST or run_id is None or nominal_time is not None:
        return request
    try:
        nominal_time = datetime.fromisoformat(dag_run_of(run_id).removeprefix(request.job_id + "@"))
        is_said_so = occurrence_run_id(request.job_id, nominal_time) == dag_run_of(run_id)
    except (ValueError, OverflowError):
        return request
    if nominal_time.tzinfo is None or not is_said_so:
        return request
    return msgspec.structs.replace(request, nominal_time=nominal_time)


def _check_kind(request: Request) -> None:
    """The checks of `tidemill.check_request_kind`; then of the fields that only some kinds take."""
    kind, run_id = request.kind, request.run_id
    if kind is RequestKind.RUN and run_id is not None:
        raise refusal(
            "run_id", run_id, "kind run does not take it: the id of the new run is <job_id or dag_id>#<request_id>"
        )
    if kind is RequestKind.RERUN and run_id is None:
        raise refusal("run_id", None, "kind rerun needs the id of the run to run again")
    if kind is RequestKind.MARK and "/" not in (run_id or ""):
        raise refusal("run_id", run_id, "kind mark needs the run id of a node: <DAG run>/<node_id>")
    if kind is RequestKind.MARK and request.mark_as is None:
        raise refusal("mark_as", None, "kind mark needs it; allowed are succeeded, skipped")
    for name, kinds in OF_KINDS.items():
        value = getattr(request, name)
        if kind not in kinds and value not in _LEFT_OUT:
            raise refusal(name, _as_text(value), only(name))
    _check_nodes(request.nodes or {})


def only(name: str) -> str:
    """Whose field it is."""
    return f"only {kinds_with(name)} {'take' if len(OF_KINDS[name]) > 1 else 'takes'} it"


def kinds_with(name: str) -> str:
    """In words."""
    *words, last = (each.value for each in OF_KINDS[name])
    return f"kinds {', '.join(words)} and {last}" if words else f"kind {last}"


def _as_text(value: object) -> str:
    match value:
        case datetime():
            return value.isoformat(sep=" ")
        case MarkAs():
            return value.value
        case str():
            return value
        case _:
            return msgspec.json.encode(value).decode()


def _check_nodes(nodes: dict[str, NodeEnd]) -> None:
    if len(nodes) > MAX_NODES:
        raise RefusedRequestError(f"nodes names {len(nodes)} nodes: at most {MAX_NODES} are allowed")
    for node_id, end in nodes.items():
        check_id("nodes", node_id)
        if not end.state.is_final:
            raise RefusedRequestError(
                f"nodes: {shown(node_id)} is {end.state.value}; a DAG run that has ended has no open node"
            )
        _check_attempt(end.attempt)


def _check_attempt(attempt: int) -> None:
    if not 0 <= attempt <= MAX_ATTEMPT:
        raise RefusedRequestError(f"attempt is {attempt}: allowed are numbers from 0 to {MAX_ATTEMPT}")


def _check_run(request: Request, run_id: str) -> None:
    """Refuses a run of another job, because that job's owner has the run."""
    owner, nominal_time = request.job_id, request.nominal_time
    named = check_run_id(run_id)
    if named != owner:
        column = "job_id" if request.dag_id is None else "dag_id"
        raise refusal(column, owner, f"run {run_id} belongs to {named}")
    whole = dag_run_of(run_id)
    by_request = f"{owner}#"
    if whole.startswith(by_request):
        check_id("run_id", whole.removeprefix(by_request))
    elif nominal_time and not run_id.startswith(occurrence_run_id(owner, nominal_time)):
        raise RefusedRequestError(
            f"nominal_time is {nominal_time.isoformat()!r}: it is not the nominal time of run {run_id!r}"
        )
