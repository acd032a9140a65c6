"""The ids of traces and spans, computed from run id and attempt, so that no process has to carry or store them.

The format is W3C Trace Context, https://www.w3.org/TR/trace-context/ (trace ids of 16 bytes, span ids of 8, as hex).
"""

from __future__ import annotations

import hashlib
import re

from schemas.ids import RunId, dag_run_of

TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")
"""A valid `traceparent`: version, trace id, span id of the parent, flags. No id consists of zeros alone."""
_SAMPLED = "01"


def trace_id(run_id: RunId, traceparent: str | None = None) -> str:
    """The trace of `traceparent`; without one, a trace of the run. The nodes of a DAG run share its trace."""
    if traceparent is not None:
        return _parts(traceparent)[0]
    return _digest("trace", dag_run_of(run_id))[:32]


def parent_span_id(traceparent: str) -> str:
    """The span that caused the request."""
    return _parts(traceparent)[1]


def run_span_id(run_id: RunId, rerun_id: str | None = None) -> str:
    """A run that is run again has one more span in its trace."""
    return _digest("run", run_id, *([rerun_id] if rerun_id else []))[:16]


def attempt_span_id(run_id: RunId, attempt: int) -> str:
    """The span of an attempt, which is the parent of what its process traces. Reruns continue the numbers."""
    return _digest("attempt", run_id, str(attempt))[:16]


def part_span_id(run_id: RunId, attempt: int, part: str) -> str:
    """The span of a part of an attempt, such as `fetch`."""
    return _digest("part", run_id, str(attempt), part)[:16]


def traceparent_of_process(run_id: RunId, attempt: int, traceparent: str | None = None) -> str:
    """The value of `TRACEPARENT` in the environment of a process."""
    return f"00-{trace_id(run_id, traceparent)}-{attempt_span_id(run_id, attempt)}-{_SAMPLED}"


def _parts(traceparent: str) -> tuple[str, str]:
    found = TRACEPARENT.fullmatch(traceparent)
    assert found is not None, traceparent
    return found[1], found[2]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
