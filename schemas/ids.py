"""Ids: their allowed characters, and how run ids are built from them (protocol S2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NewType

from schemas.times import run_id_time

if TYPE_CHECKING:
    from datetime import datetime

OwnerId = NewType("OwnerId", str)
"""A job id or DAG id: it decides the partition of a record. A partition owner, the code, is not meant."""
RunId = NewType("RunId", str)
RequestId = NewType("RequestId", str)
ExecutorId = NewType("ExecutorId", str)
"""`<name>.<random epoch>`: a restarted executor has another id."""

DOCTOR_JOB, CANARY_JOB = OwnerId("tidemill-doctor"), OwnerId("tidemill-canary")
PROBE_JOBS = frozenset({DOCTOR_JOB, CANARY_JOB})
"""The jobs whose runs only show that the way from a row to a process works; figures of users' runs leave them out."""

MAX_ID_CHARACTERS = 200
_REFUSED = re.compile(
    "[@#/~]|[\u0000-\u001f\u007f-\u00a0\u00ad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000]"
    "|[\ue000-\uf8ff\ufeff\ufff9-\ufffb]"
)
"""`tidemill.is_id` (tables/0004_checks.sql) refuses the same characters. The first four separate the parts of a run id:
with one of them in an id, two runs could have the same id. The others are invisible, so ids could look alike.
"""


_RUN_ID = re.compile("([^@#]+)[@#].", re.DOTALL)


def is_id(value: str) -> bool:
    """The same check as `tidemill.is_id`."""
    return 0 < len(value) <= MAX_ID_CHARACTERS and not _REFUSED.search(value)


def owner_of_run(run_id: str) -> str | None:
    """The job or DAG that a run id names; None: it is not a run id."""
    found = _RUN_ID.match(run_id)
    return found[1] if found else None


def request_of_run(run_id: RunId) -> RequestId | None:
    """The request that a run id names; None: the run is an occurrence."""
    _, separator, request_id = dag_run_of(run_id).partition("#")
    return RequestId(request_id) if separator else None


def occurrence_run_id(job_id: str, nominal_time: datetime) -> RunId:
    """The run id of an occurrence: `<job_id>@<nominal time, UTC>`."""
    return RunId(f"{job_id}@{run_id_time(nominal_time)}")


def request_run_id(job_id: str, request_id: str) -> RunId:
    """The run id of a requested run: `<job_id>#<request_id>`."""
    return RunId(f"{job_id}#{request_id}")


def node_run_id(dag_run_id: RunId, node_id: str) -> RunId:
    """The run id of a node: `<DAG run>/<node_id>`."""
    return RunId(f"{dag_run_id}/{node_id}")


def dag_run_of(run_id: str) -> RunId:
    """The DAG run of a node's run; for any other run the run id itself."""
    return RunId(run_id.partition("/")[0])


def missed_range_id(job_id: str, first: datetime, last: datetime) -> RunId:
    """The run id of a range of missed occurrences: `<job_id>@<first>~<last>`."""
    return RunId(f"{job_id}@{run_id_time(first)}~{run_id_time(last)}")


def node_of_run(run_id: str) -> str | None:
    """The node that a run id names; None: it is not a run of a node."""
    return run_id.partition("/")[2] or None
