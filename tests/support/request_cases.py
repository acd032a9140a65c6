"""Requests that both entrances, the table `tidemill.requests` and the topic `requests`, accept or refuse alike."""

from __future__ import annotations

from typing import Any

from schemas.words import RequestKind

MINIMAL: dict[str, Any] = {"request_id": "r1", "job_id": "nightly"}
AN_ID = "an id has 1 to 200 characters, no control characters and none of @ # / ~"
A_RUN_ID = (
    "a run id is <job_id or dag_id>@<nominal time> or <job_id or dag_id>#<request_id>, and for a node also /<node_id>"
)
A_NODE = (
    "after the / of a run id comes the id of one node: 1 to 200 characters, no control characters and none of @ # / ~"
)
KINDS = f"allowed are {', '.join(each.value for each in RequestKind)}"
NEEDED = "a request needs job_id or dag_id; both may be null only if run_id is set"
TIMES = "it must be a time from 1970 to 2199"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
A_TRACEPARENT = (
    "it must be 00-<trace id>-<span id>-<flags>, of 32, 16 and 2 digits from 0 to f in lower case, and no id of "
    "zeros alone"
)
STOP: dict[str, Any] = {"kind": "cancel"}

ACCEPTED: list[dict[str, Any]] = [
    {},
    {"request_id": "Übung 7, Ärger"},
    {"job_id": None, "dag_id": "etl"},
    {"run_at": "2199-12-31T23:59:59Z", "payload": {"a": [1, None]}, "note": "x" * 1000},
    {"kind": "cancel"},
    {"kind": "cancel", "run_id": "nightly@2026-03-01T00:00:00Z"},
    {"kind": "terminate", "job_id": None, "run_id": "nightly#r0/a"},
    {"kind": "terminate", "job_id": None, "dag_id": "etl", "note": "bad deploy"},
    {"kind": "rerun", "run_id": "nightly#r0", "payload": {"day": 2}},
    {"kind": "rerun", "run_id": "nightly#r0", "job_id": None},
    {"traceparent": TRACEPARENT},
    {"kind": "rerun", "run_id": "nightly#r0", "traceparent": TRACEPARENT},
]

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"request_id": "a#b"}, f'request_id is "a#b": {AN_ID}'),
    ({"request_id": ""}, f'request_id is "": {AN_ID}'),
    ({"request_id": None}, f"request_id is null: {AN_ID}"),
    ({"request_id": "x" * 201}, f'request_id is "{"x" * 80}..." (201 characters): {AN_ID}'),
    ({"job_id": "a@b"}, f'job_id is "a@b": {AN_ID}'),
    ({"job_id": ""}, f'job_id is "": {AN_ID}'),
    ({"job_id": "a\u200bb"}, f'job_id is "a\u200bb": {AN_ID}'),
    ({"job_id": None}, f"job_id is null: {NEEDED}"),
    ({"job_id": None, "dag_id": "a/b"}, f'dag_id is "a/b": {AN_ID}'),
    ({"dag_id": "etl"}, 'dag_id is "etl": job_id is nightly; a request may name only one of them'),
    ({"kind": "stop"}, f'kind is "stop": {KINDS}'),
    ({"kind": None}, f"kind is null: {KINDS}"),
    ({"run_at": "2199-12-31T23:59:59.9995Z"}, f"run_at is …: {TIMES}"),
    (
        {"traceparent": TRACEPARENT + "\n"},
        f'traceparent is "{TRACEPARENT}\ufffd": {A_TRACEPARENT}',
    ),
    ({"kind": "a\nb\x1b[2J"}, f'kind is "a\ufffdb\ufffd[2J": {KINDS}'),
    ({"run_at": "1969-12-31T23:59:59Z"}, f"run_at is …: {TIMES}"),
    ({"run_at": "2200-01-01T00:00:00Z"}, f"run_at is …: {TIMES}"),
    ({"created_at": "1969-12-31T23:59:59Z"}, f"created_at is …: {TIMES}"),
    ({"payload": "x" * 262_144}, "payload has 262146 bytes as JSON: at most 256 KB (262144 bytes) are allowed"),
    ({"note": "x" * 1001}, f'note is "{"x" * 80}..." (1001 characters): a note has at most 1000 characters'),
    (
        {"run_id": "nightly#r0"},
        'run_id is "nightly#r0": kind run does not take it: the id of the new run is <job_id or dag_id>#<request_id>',
    ),
    ({"kind": "rerun"}, "run_id is null: kind rerun needs the id of the run to run again"),
    (STOP | {"run_at": "2030-01-01T00:00:00Z"}, "run_at is …: only kind run takes it"),
    (STOP | {"payload": {"a": 1}}, "payload is …: only kinds run, rerun and mark take it"),
    (
        STOP | {"traceparent": TRACEPARENT},
        f'traceparent is "{TRACEPARENT}": only kinds run, rerun and mark take it',
    ),
    *(
        ({"traceparent": wrong}, f'traceparent is "{wrong}": {A_TRACEPARENT}')
        for wrong in (
            "",
            "0af7651916cd43dd8448eb211c80319c",
            TRACEPARENT.upper(),
            TRACEPARENT.replace("00-", "01-", 1),
            f"00-{'0' * 32}-b7ad6b7169203331-01",
            f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        )
    ),
    (STOP | {"downstream": True}, 'downstream is "true": only kind rerun takes it'),
    (STOP | {"mark_as": "skipped"}, 'mark_as is "skipped": only kind mark takes it'),
    ({"downstream": True}, 'downstream is "true": only kind rerun takes it'),
    (STOP | {"run_id": "other#r0"}, 'job_id is "nightly": run other#r0 belongs to other'),
    (STOP | {"job_id": None, "dag_id": "etl", "run_id": "e#1/a"}, 'dag_id is "etl": run e#1/a belongs to e'),
    (STOP | {"run_id": "nightly"}, f'run_id is "nightly": {A_RUN_ID}'),
    (STOP | {"run_id": "nightly@"}, f'run_id is "nightly@": {A_RUN_ID}'),
    (STOP | {"run_id": "nonsense", "job_id": None}, f'run_id is "nonsense": {A_RUN_ID}'),
    (
        STOP | {"run_id": "nightly@" + "x" * 693},
        f'run_id is "nightly@{"x" * 72}..." (701 characters): a run id has at most 700 characters',
    ),
    (STOP | {"run_id": "nightly#r0/"}, f'run_id is "nightly#r0/": {A_NODE}'),
    (STOP | {"run_id": "nightly#r0/a/b"}, f'run_id is "nightly#r0/a/b": {A_NODE}'),
    (
        {"kind": "mark", "run_id": "nightly#r0", "mark_as": "skipped"},
        'run_id is "nightly#r0": kind mark needs the run id of a node: <DAG run>/<node_id>',
    ),
    (
        {"kind": "mark", "mark_as": "skipped"},
        "run_id is null: kind mark needs the run id of a node: <DAG run>/<node_id>",
    ),
    ({"kind": "mark", "run_id": "nightly#r0/a"}, "mark_as is null: kind mark needs it; allowed are succeeded, skipped"),
    (
        {"kind": "mark", "run_id": "nightly#r0/a", "mark_as": "failed"},
        'mark_as is "failed": allowed are succeeded, skipped',
    ),
]
