"""Collects the probe run's marks and errors from the records of the topics. Pure."""

from __future__ import annotations

from datetime import datetime

from schemas.codec import decode, decode_captured
from schemas.dispatch import Dispatch
from schemas.errors import UndecodableError
from schemas.event import Claimed, Ended, Event, EventBatch, Expired, Rejected, Started
from schemas.exit_codes import exit_code_in_words
from schemas.ids import RunId
from schemas.request import Request
from schemas.status import RunStatus
from schemas.topics import CDC, EVENTS, STATUS
from schemas.words import RunState
from tidemill.doctor.hops import Mark

EVENT_MARKS: dict[type[Event], Mark] = {
    Claimed: Mark.CLAIMED,
    Started: Mark.STARTED,
    Ended: Mark.ENDED,
}


class Trail:
    """Takes every record of the probe's partitions, and ignores the records of other runs."""

    __slots__ = ("_request_id", "marks", "run_id", "said", "state")

    def __init__(self, run_id: RunId, request_id: str) -> None:
        self.run_id, self._request_id = run_id, request_id
        self.marks: dict[Mark, datetime] = {}
        self.said: str | None = None
        self.state: RunState | None = None

    def see(self, topic: str, value: bytes, at: datetime) -> None:
        """Take a record: `topic` without its prefix; `at`: the append time."""
        try:
            self._see(topic, value, at)
        except UndecodableError:
            return  # another run's record, which the dead letter topic has

    def leave(self, mark: Mark, at: datetime) -> None:
        """Keep the first time: later ones are repetitions."""
        self.marks.setdefault(mark, at)

    def _see(self, topic: str, value: bytes, at: datetime) -> None:
        if topic == CDC:
            row = decode_captured(value)
            if isinstance(row, Request) and row.request_id == self._request_id:
                self.leave(Mark.CAPTURED, at)
        elif topic == EVENTS:
            for event in decode(value, EventBatch).events:
                if event.run_id == self.run_id:
                    self._event(event, at)
        elif topic == STATUS:
            status = decode(value, RunStatus)
            if status.run_id == self.run_id:
                self._status(status, at)
        elif decode(value, Dispatch).run_id == self.run_id:
            self.leave(Mark.DISPATCHED, at)

    def _event(self, event: Event, at: datetime) -> None:
        if type(event) in EVENT_MARKS:
            self.leave(EVENT_MARKS[type(event)], at)
        match event:
            case Rejected(reason=reason):
                self.said = f"the executor rejected it: {reason}"
            case Expired():
                self.said = "the executor found the dispatch too old to run"
            case Ended(cause=cause, exit_code=exit_code) if exit_code != 0:
                self.said = f"the process ended by {cause.value} with {exit_code_in_words(exit_code)}"
            case _:
                pass

    def _status(self, status: RunStatus, at: datetime) -> None:
        self.state = status.state
        if status.state.is_final:
            self.leave(Mark.JUDGED, at)
        if status.reason and self.said is None and status.state is not RunState.SUCCEEDED:
            self.said = f"the run is {status.state.value}: {status.reason}"
