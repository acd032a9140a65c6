"""The heartbeat: what the executor says of itself, and the lease that each acknowledged one renews (protocol L1)."""

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
class Heart:
    """One heartbeat is under way at a time; a change meanwhile goes out with the next, at once."""

    outbox: Sender
    topic: str
    partition: int
    compose: Callable[[], Heartbeat]
    on_renewed: Callable[[float], None]
    """Called with the moment (CLOCK_BOOTTIME) from which a heartbeat that is acknowledged now renews what it lists;
    `renewed` is that of the one before until it returns."""
    horizon_seconds: float
    """Nothing is claimed while the last acknowledged heartbeat is older: its claims might come too late."""
    renewed: float = NEVER
    _under_way: bool = False
    _is_due: bool = False

    def beat(self) -> None:
        if self._under_way:
            self._is_due = True
            return
        # Sent again after a failure it still lists no more than now: the lease counts from here.
        composed = boot_seconds()
        heartbeat = self.compose()
        self._under_way = True
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
        return boot_seconds() - self.renewed < self.horizon_seconds

    @property
    def is_silent(self) -> bool:
        """Everything that was said is acknowledged."""
        return not self._under_way and not self._is_due

    def _acknowledged(self, composed: float) -> None:
        self._under_way = False
        self.on_renewed(composed)
        self.renewed = composed
        if self._is_due:
            self._is_due = False
            self.beat()
