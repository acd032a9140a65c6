"""The loop that sends a run through every hop, as `tidemill doctor` does, and measures it.

Its program is always the same, so the executors have it in their caches: the hop `fetch` is left out, and
`tidemill_part_up{part="s3"}` shows whether S3 answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import structlog

from observe.catalogue.monitor import CANARY_LOST, CANARY_RUNS, CANARY_SECONDS, HOP_SECONDS
from observe.registry import Registry
from schemas.ids import CANARY_JOB
from tidemill.doctor.facts import Silent
from tidemill.doctor.hops import Journey, Mark, timed
from tidemill.doctor.probe import travel
from tidemill.monitor.deployment import Deployment
from tidemill.monitor.parts import PROGRAM_KEY
from tidemill.queries import one
from tidemill.target import connect_to_read

JOB = CANARY_JOB
HOP_LIMIT = timedelta(seconds=15)
"""A canary run is lost if a hop takes longer."""
GIVEN_UP_SECONDS = 3600.0
"""While a lost run may still come, no other one is requested: an outage must not pile them up. After this time it is
given up."""

log = structlog.get_logger()


class Canary:
    def __init__(self, deployment: Deployment, registry: Registry, clock: Callable[[], float] = time.monotonic) -> None:
        self._deployment, self._clock = deployment, clock
        self._hops = registry.histogram(HOP_SECONDS)
        self._seconds = registry.histogram(CANARY_SECONDS)
        self._runs = registry.counter(CANARY_RUNS)
        self._lost = registry.counter(CANARY_LOST)
        self._awaited: tuple[str, float] | None = None
        """A lost run, and when it was lost."""

    def round(self) -> None:
        """Raises what the clients of Postgres and Kafka raise."""
        if self._awaits_lost_one():
            self._runs.inc()
            self._lost.inc()
            return
        target = self._deployment.target()
        program = f"s3://{target.s3_bucket}/{PROGRAM_KEY}"
        self.take(travel(target, JOB, program, HOP_LIMIT, self._deployment.brokers_ahead()))

    def take(self, journey: Journey | Silent) -> None:
        """Count one canary run."""
        match journey:
            case Silent(reason=reason):
                log.warning("canary_not_followed", reason=reason)
            case Journey():
                self._runs.inc()
                self._measure(journey)

    def _measure(self, journey: Journey) -> None:
        hops = {each.hop: each.took for each in timed(journey) if each.took is not None}
        for hop in HOP_SECONDS.values["hop"]:
            if hop in hops:
                self._hops.labels(hop).observe(hops[hop].total_seconds())
        if Mark.SHOWN in journey.marks:
            took = journey.marks[Mark.SHOWN] - journey.marks[Mark.ACCEPTED]
            self._seconds.observe(max(took.total_seconds(), 0.0))
        else:
            self._lost.inc()
            self._awaited = journey.run_id, self._clock()
            last = max(journey.marks, key=list(Mark).index)
            log.warning("canary_lost", run_id=journey.run_id, last_seen=last.value, reason=journey.said)

    def _awaits_lost_one(self) -> bool:
        """Whether a lost run has not come yet."""
        if self._awaited is None:
            return False
        run_id, since = self._awaited
        with connect_to_read(self._deployment.connections) as postgres:
            if one(postgres, "doctor_shown", {"run_id": run_id}) is None and self._clock() - since < GIVEN_UP_SECONDS:
                return True
        self._awaited = None
        return False
