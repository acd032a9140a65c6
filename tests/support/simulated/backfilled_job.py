"""A job with a backfill on the simulated log: its owner, and an executor that runs when a test says so."""

from __future__ import annotations

from datetime import datetime, timedelta

import orjson

from schemas.codec import decode
from schemas.event import EndCause
from schemas.ids import occurrence_run_id
from schemas.status import RunStatus
from schemas.times import run_id_time
from schemas.topics import STATUS
from schemas.words import RunState
from streams.owner.owner import Owner
from tests.support.simulated.log import START, Log, ended, started

MINUTE = timedelta(minutes=1)
PARENT = "job#bf"


class BackfillScenario:
    """A job that is due every minute, its owner, and an executor that `start`, `end` and `run_all` drive."""

    def __init__(self, **job: object) -> None:
        self.log = Log()
        self.log.define(**{"schedule": "* * * * *", "max_attempts": 1} | job)
        self.owner: Owner = self.log.recover()
        self.turn()
        self.reported = 0

    def turn(self, seconds: float = 0) -> None:
        self.log.turn(self.owner, seconds)

    def backfill(self, begin: int, end: int, request_id: str = "bf", **fields: object) -> None:
        """Requests a backfill of the minutes [begin, end), relative to now."""
        self.owner.offer(self.log.request(request_id, **backfill_request(begin, end, self.log.now, **fields)))
        self.turn()

    def start(self) -> list[str]:
        """Starts every run dispatched since the last call; returns their ids."""
        new = self.log.dispatches()[self.reported :]
        self.reported += len(new)
        for each in new:
            self.owner.offer(self.log.report(started(each, self.log.now)))
        self.log.turn(self.owner, patience=timedelta(0))
        return [each.run_id for each in new]

    def end(self, run_id: str, exit_code: int | None = 0, cause: EndCause = EndCause.EXITED) -> None:
        dispatch = next(each for each in reversed(self.log.dispatches()) if each.run_id == run_id)
        self.owner.offer(self.log.report(ended(dispatch, self.log.now, exit_code, cause)))
        self.turn()

    def run_all(self, exit_code: int = 0) -> list[str]:
        """Runs everything that is dispatched, until nothing is left; returns the run ids in order."""
        order = []
        while new := self.start():
            order += new
            for run_id in new:
                self.end(run_id, exit_code)
        return order

    def parent(self) -> RunStatus:
        return self.log.statuses()[PARENT]

    def states(self) -> dict[str, RunState]:
        return {run_id: each.state for run_id, each in self.log.statuses().items()}


def backfill_request(begin: int, end: int, now: datetime, **fields: object) -> dict[str, object]:
    return {
        "kind": "backfill",
        "backfill_from": (now + begin * MINUTE).isoformat(),
        "backfill_to": (now + end * MINUTE).isoformat(),
        "reprocess": "none",
        "max_active_runs": 1,
        "run_backwards": False,
        "dry_run": False,
        **fields,
        "ran": orjson.dumps(fields.get("ran", {})).decode(),
    }


def at(minute: int) -> str:
    return occurrence_run_id("job", START + minute * MINUTE)


def time_in_run_id(minute: int) -> str:
    """The time of a minute, as a run id writes it."""
    return run_id_time(START + minute * MINUTE)


def history(log: Log) -> list[RunStatus]:
    return [decode(r.value, RunStatus) for r in log.written if r.topic == STATUS]
