"""What a request may be when it does not come through the table, whose triggers say the same in SQL (tables/0006)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from schemas.dag import MAX_NODES
from schemas.errors import TidemillError
from schemas.ids import check_id, dag_run_of, occurrence_run_id, owner_of_run
from schemas.request import NodeEnd, Request
from schemas.times import EPOCH, LATEST
from schemas.words import RequestKind

SET_BY_US = frozenset({"owner", "backfill"})
"""Fields of a request that nobody writes: the owner follows from the job or the DAG, and a backfill is asked for in the
table."""
FIELDS = tuple(name for name in Request.__struct_fields__ if name not in SET_BY_US)
_OF_THE_PAST = frozenset({RequestKind.RERUN, RequestKind.MARK})
_WITH_PAYLOAD = _OF_THE_PAST | {RequestKind.RUN}
"""The owner has forgotten a run that has ended, and with it the payload of its request."""
MAX_PAYLOAD_BYTES = 256 * 1024
MAX_NOTE_CHARACTERS = 1_000
MAX_RUN_ID_CHARACTERS = 700
"""An owner id, a request id, a node id and what stands between them."""
MAX_ATTEMPT = 1_000_000


class RefusedRequestError(TidemillError):
    """A request breaks a rule."""


def check_fields(row: dict[str, Any]) -> None:
    """A field that is not known is no request with something extra: a misspelt `run_at` would run now, a misspelt
    `run_id` would cancel everything. The table refuses unknown columns too.
    """
    for name in row:
        if name not in FIELDS:
            raise RefusedRequestError(f"it has a field {name!r}; allowed are {', '.join(FIELDS)}")
    if "request_id" not in row:
        raise RefusedRequestError("it has no request_id, which says that it is the same request when it comes again")
    kinds = [each.value for each in RequestKind if each is not RequestKind.BACKFILL]
    if row.get("kind") == RequestKind.BACKFILL.value:
        raise RefusedRequestError(
            "kind is 'backfill': that is asked for in the table, whose trigger knows what has run already"
        )
    if "kind" in row and row["kind"] not in kinds:
        raise RefusedRequestError(f"kind is {row['kind']!r}: allowed are {', '.join(kinds)}")


def owner_named(row: dict[str, Any]) -> Any:
    """What a request says of whom it is for: a job, a DAG, or one of their runs."""
    job_id, dag_id, run_id = row.get("job_id"), row.get("dag_id"), row.get("run_id")
    if job_id is not None and dag_id is not None:
        raise RefusedRequestError("it has both job_id and dag_id; it is for one of them")
    named = dag_id if job_id is None else job_id
    if named is None and isinstance(run_id, str):
        named = check_run_id(run_id)
    if named is None:
        raise RefusedRequestError("it has no job_id and no dag_id; they may be left out only where run_id is given")
    return named


def check_request(request: Request, payload_bytes: int) -> None:
    """Raises `InvalidIdError` or `RefusedRequestError` with a sentence that names the field and what is allowed."""
    check_id("request_id", request.request_id)
    check_id("job_id" if request.dag_id is None else "dag_id", request.job_id)
    check_instants(request)
    if payload_bytes > MAX_PAYLOAD_BYTES:
        allowed = f"at most {MAX_PAYLOAD_BYTES // 1024} KB ({MAX_PAYLOAD_BYTES} bytes) are allowed"
        raise RefusedRequestError(f"payload has {payload_bytes} bytes as JSON: {allowed}")
    _check_attempt(request.attempt)
    if len(request.note or "") > MAX_NOTE_CHARACTERS:
        raise RefusedRequestError(f"note: a note has at most {MAX_NOTE_CHARACTERS} characters")
    _check_kind(request)
    if request.run_id is not None:
        _check_run(request, request.run_id)


def check_run_id(run_id: str) -> str:
    """The owner that it names. What the table says of a run id (`tidemill.check_run_id`), whoever wrote it."""
    if len(run_id) > MAX_RUN_ID_CHARACTERS:
        raise RefusedRequestError(f"run_id has {len(run_id)} characters: at most {MAX_RUN_ID_CHARACTERS} are allowed")
    owner = owner_of_run(run_id)
    if owner is None:
        raise RefusedRequestError(_no_run_id(run_id))
    _, slash, node_id = run_id.partition("/")
    if slash:
        check_id("run_id", node_id)
    return owner


def check_instants(request: Request) -> None:
    fields = {name: getattr(request, name) for name in ("created_at", "run_at", "nominal_time")}
    if request.backfill:
        fields |= {name: getattr(request.backfill, name) for name in ("backfill_from", "backfill_to")}
    for name, value in fields.items():
        if value is None:
            continue
        if value.tzinfo is None:
            raise RefusedRequestError(f"{name} is {value.isoformat()!r}: it must end in Z or an offset such as +02:00")
        if not EPOCH <= value <= LATEST:
            raise RefusedRequestError(f"{name} is {value.isoformat()!r}: it must be a time from 1970 to 2199")


def completed(request: Request) -> Request:
    """A rerun in an occurrence, or a mark, needs no nominal time: its run id says it."""
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
    kind, run_id = request.kind, request.run_id
    if kind is RequestKind.RUN and run_id is not None:
        raise RefusedRequestError(f"run_id is {run_id!r}: kind run has none: it is <job_id>#<request_id>")
    if kind is RequestKind.RERUN and run_id is None:
        raise RefusedRequestError("run_id is null: kind rerun needs the run that is to run again")
    if kind is RequestKind.MARK and "/" not in (run_id or ""):
        raise RefusedRequestError(f"run_id is {run_id!r}: kind mark needs that of a node: <DAG run>/<node_id>")
    if kind is not RequestKind.RUN and request.run_at is not None:
        raise RefusedRequestError(f"run_at is {request.run_at.isoformat()!r}: only kind run has it")
    if kind not in _WITH_PAYLOAD and request.payload is not None:
        raise RefusedRequestError(f"payload: kind {kind.value} has none")
    if kind is not RequestKind.RERUN and (request.attempt or request.downstream):
        raise RefusedRequestError("attempt and downstream: only kind rerun has them")
    if kind not in _OF_THE_PAST and (request.nominal_time is not None or request.nodes is not None):
        raise RefusedRequestError("nominal_time and nodes: only kinds rerun and mark have them")
    if (kind is RequestKind.MARK) is (request.mark_as is None):
        raise RefusedRequestError("mark_as: kind mark needs it, and no other kind has it")
    _check_nodes(request.nodes or {})


def _check_nodes(nodes: dict[str, NodeEnd]) -> None:
    if len(nodes) > MAX_NODES:
        raise RefusedRequestError(f"nodes names {len(nodes)} nodes: at most {MAX_NODES} are allowed")
    for node_id, end in nodes.items():
        check_id("nodes", node_id)
        if not end.state.is_final:
            raise RefusedRequestError(f"nodes: {node_id!r} is {end.state.value}; a DAG run that has ended has no such")
        _check_attempt(end.attempt)


def _check_attempt(attempt: int) -> None:
    if not 0 <= attempt <= MAX_ATTEMPT:
        raise RefusedRequestError(f"attempt is {attempt}: allowed are numbers from 0 to {MAX_ATTEMPT}")


def _check_run(request: Request, run_id: str) -> None:
    """A run is handled by the owner of its job: one of another job cannot be meant."""
    owner, nominal_time = request.job_id, request.nominal_time
    named = check_run_id(run_id)
    if named != owner:
        column = "job_id" if request.dag_id is None else "dag_id"
        raise RefusedRequestError(f"{column} is {owner!r}: run {run_id!r} is one of {named!r}")
    whole = dag_run_of(run_id)
    by_request = f"{owner}#"
    if whole.startswith(by_request):
        check_id("run_id", whole.removeprefix(by_request))
    elif nominal_time and not run_id.startswith(occurrence_run_id(owner, nominal_time)):
        raise RefusedRequestError(f"nominal_time is {nominal_time.isoformat()!r}: it is not that of run {run_id!r}")


def _no_run_id(run_id: str) -> str:
    return (
        f"run_id is {run_id!r}: a run id is <job_id>@<nominal time> or <job_id>#<request_id>, "
        "of a DAG with its dag_id, of a node with /<node_id> behind it"
    )
