"""Ids: what they are made of, and how run ids are derived from them (protocol S2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NewType

from schemas.times import run_id_time

if TYPE_CHECKING:
    from datetime import datetime

OwnerId = NewType("OwnerId", str)
"""What places a record in a partition: a job id or a DAG id."""
RunId = NewType("RunId", str)
RequestId = NewType("RequestId", str)
ExecutorId = NewType("ExecutorId", str)
"""`<name>.<random epoch>`: a restarted executor is another executor."""

MAX_ID_CHARACTERS = 200
_REFUSED = re.compile(
    "[@#/~]|[\u0000-\u001f\u007f-\u00a0\u00ad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000]"
    "|[\ue000-\uf8ff\ufeff\ufff9-\ufffb]"
)
"""The same characters as in `tidemill.is_id` (tables/0004_checks.sql). The first four separate the parts of a run id:
with one of them in an id, two runs could collide. What cannot be seen cannot be told apart.
"""


_RUN_ID = re.compile("([^@#]+)[@#].", re.DOTALL)


def is_id(value: str) -> bool:
    """What `tidemill.is_id` says."""
    return 0 < len(value) <= MAX_ID_CHARACTERS and not _REFUSED.search(value)


def owner_of_run(run_id: str) -> str | None:
    """The job or the DAG that a run id names; None: it is no run id."""
    found = _RUN_ID.match(run_id)
    return found[1] if found else None


def request_of_run(run_id: RunId) -> RequestId | None:
    """The request that a run id names; None: it is an occurrence's."""
    _, separator, request_id = dag_run_of(run_id).partition("#")
    return RequestId(request_id) if separator else None


def occurrence_run_id(job_id: str, nominal_time: datetime) -> RunId:
    """The run of one occurrence of a schedule: `<job_id>@<nominal time, UTC>`."""
    return RunId(f"{job_id}@{run_id_time(nominal_time)}")


def request_run_id(job_id: str, request_id: str) -> RunId:
    """The run that a request asked for: `<job_id>#<request_id>`."""
    return RunId(f"{job_id}#{request_id}")


def node_run_id(dag_run_id: RunId, node_id: str) -> RunId:
    """The run of a node in a DAG run: `<DAG run>/<node_id>`."""
    return RunId(f"{dag_run_id}/{node_id}")


def dag_run_of(run_id: str) -> RunId:
    """The DAG run that a node's run belongs to; any other run is its own."""
    return RunId(run_id.partition("/")[0])


def missed_range_id(job_id: str, first: datetime, last: datetime) -> RunId:
    """The record of a range of occurrences that did not run: `<job_id>@<first>~<last>`."""
    return RunId(f"{job_id}@{run_id_time(first)}~{run_id_time(last)}")
