"""Sends the executor's heartbeats; each acknowledged one renews the leases of its attempts (protocol L1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from executors.clock import boot_seconds
from executors.events import Sender
from executors.outbox import Record
from schemas.codec import encode
from schemas.heartbeat import Heartbeat

NEVER = float("-inf")


@dataclass(slots=True, kw_only=True)
class HeartbeatSender:
    """One heartbeat is in flight at a time; if `send` is called meanwhile, the next one follows at once."""

    outbox: Sender
    topic: str
    partition: int
    compose: Callable[[], Heartbeat]
    on_renewed: Callable[[float], None]
    """Called at an acknowledgement with the time from which it renews the listed leases (CLOCK_BOOTTIME);
    during the call `renewed` is still the time of the heartbeat before."""
    horizon_seconds: float
    """If the last acknowledged heartbeat is older, the executor claims nothing: its claims might become void."""
    renewed: float = NEVER
    _in_flight: bool = False
    _is_due: bool = False

    def send(self) -> None:
        if self._in_flight:
            self._is_due = True
            return
        # The lease counts from here, not from a retry: also then the heartbeat lists the attempts of this moment.
        composed = boot_seconds()
        heartbeat = self.compose()
        self._in_flight = True
        self.outbox.send(
            Record(
                topic=self.topic,
                key=heartbeat.executor_id,
                value=encode(heartbeat),
                partition=self.partition,
                on_ack=lambda _: self._acknowledged(composed),
            )
        )

    @property
    def is_recent(self) -> bool:
        return self.age_seconds < self.horizon_seconds

    @property
    def age_seconds(self) -> float:
        """The age of the last acknowledged heartbeat; infinite before the first."""
        return boot_seconds() - self.renewed

    @property
    def is_idle(self) -> bool:
        """All heartbeats are acknowledged."""
        return not self._in_flight and not self._is_due

    def _acknowledged(self, composed: float) -> None:
        self._in_flight = False
        self.on_renewed(composed)
        self.renewed = composed
        if self._is_due:
            self._is_due = False
            self.send()
