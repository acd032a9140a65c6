"""Who this process is in the group of the stream workers, as the coordinator names it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import structlog

from streams.groups import ANSWER_SECONDS, Groups, LogUnreachableError

log = structlog.get_logger()


class Membership:
    """A worker's name outlives its process, so that a restart takes over at once (static membership). The member id
    does not: it tells a process that was frozen from the one that has taken its name meanwhile. The frozen one ends
    (protocol O12).
    """

    def __init__(self, groups: Groups, on_replaced: Callable[[], None]) -> None:
        self._groups, self._on_replaced = groups, on_replaced
        self._coordinator: Any = None
        self._last_id = ""

    @property
    def member_id(self) -> str:
        """The empty string: it has not joined, or has to join anew."""
        return str(self._coordinator.member_id) if self._coordinator is not None else ""

    def watch(self, consumer: Any) -> None:
        """Called with the started consumer of aiokafka, in its thread. It has no hook for a member id that expired."""
        self._coordinator = coordinator = consumer._coordinator  # noqa: SLF001
        forget = coordinator.reset_generation

        def reset_generation() -> None:
            self._last_id = self.member_id or self._last_id
            if not coordinator._closing.done() and self._is_replaced():  # noqa: SLF001
                log.error("worker_replaced", note="another process has joined the group under the name of this worker")
                self._on_replaced()
            else:
                forget()

        coordinator.reset_generation = reset_generation

    def _is_replaced(self) -> bool:
        """Asked in another thread, for this one runs an event loop. Without an answer it joins, as ever."""
        answers: list[bool] = []

        def look() -> None:
            try:
                answers.append(self._groups.is_replaced(self._last_id))
            except LogUnreachableError:
                answers.append(False)

        asking = threading.Thread(target=look, daemon=True)
        asking.start()
        asking.join(2 * ANSWER_SECONDS)
        return bool(answers and answers[0])
