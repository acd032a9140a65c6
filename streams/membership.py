"""The member id of this process in the stream workers' group, and the end of a process that was replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import structlog

from streams.groups import ANSWER_SECONDS, Groups, LogUnreachableError

log = structlog.get_logger()


class Membership:
    """A worker keeps its name over restarts, so that the new process takes over at once (static membership). The member
    id changes: it distinguishes a frozen process from the one that has taken its name meanwhile. The frozen process
    ends (protocol O12).
    """

    def __init__(self, groups: Groups, on_replaced: Callable[[], None]) -> None:
        self._groups, self._on_replaced = groups, on_replaced
        self._coordinator: Any = None
        self._last_member_id = ""

    @property
    def member_id(self) -> str:
        """Empty: the worker has not joined yet, or has to join again."""
        return str(self._coordinator.member_id) if self._coordinator is not None else ""

    def watch(self, consumer: Any) -> None:
        """Call this in the thread of the started aiokafka consumer. Wraps `reset_generation`, because aiokafka has no
        hook for an expired member id.
        """
        self._coordinator = coordinator = consumer._coordinator  # noqa: SLF001
        reset = coordinator.reset_generation

        def reset_generation() -> None:
            self._last_member_id = self.member_id or self._last_member_id
            if not coordinator._closing.done() and self._is_replaced():  # noqa: SLF001
                log.error("worker_replaced", note="another process has joined the group with the name of this worker")
                self._on_replaced()
            else:
                reset()

        coordinator.reset_generation = reset_generation

    def _is_replaced(self) -> bool:
        """Asks in another thread, because this one runs an event loop. Without an answer, False: the worker joins."""
        answers: list[bool] = []

        def ask() -> None:
            try:
                answers.append(self._groups.is_replaced(self._last_member_id))
            except LogUnreachableError:
                answers.append(False)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(2 * ANSWER_SECONDS)
        return bool(answers and answers[0])
