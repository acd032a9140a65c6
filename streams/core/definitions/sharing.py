"""Keep one copy of each value that many jobs have in common; this saves most memory of a million definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from schemas.job import JobSpec
from streams.core.stored import StoredJob

MAX_SHARED = 10_000
"""How many values one partition shares; further values are kept as separate copies."""
_NO_ENV: dict[str, str] = {}


class Shared:
    """The shared values. No decision depends on them."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[Any, Any] = {}

    def job(self, stored: StoredJob) -> StoredJob:
        """An equal job in less memory."""
        since = stored.valid_from if stored.since == stored.valid_from else stored.since
        return msgspec.structs.replace(stored, since=since, spec=self._spec(stored.spec))

    def _spec(self, spec: JobSpec) -> JobSpec:
        """Args and payloads are not shared, because they mostly differ."""
        one: Callable[..., Any] = self._values.setdefault if len(self._values) < MAX_SHARED else self._values.get
        return msgspec.structs.replace(
            spec,
            executable=one(spec.executable, spec.executable),
            tenant=one(spec.tenant, spec.tenant),
            schedule=one(spec.schedule, spec.schedule),
            timezone=one(spec.timezone, spec.timezone),
            sha256=one(spec.sha256, spec.sha256),
            env=spec.env or _NO_ENV,
            timeout=one(spec.timeout, spec.timeout),
            timeout_class=one(spec.timeout_class, spec.timeout_class),
            initial_interval=one(spec.initial_interval, spec.initial_interval),
            max_interval=one(spec.max_interval, spec.max_interval),
            catchup_window=one(spec.catchup_window, spec.catchup_window),
            misfire_grace=one(spec.misfire_grace, spec.misfire_grace),
            start_deadline=one(spec.start_deadline, spec.start_deadline),
            max_retry_duration=one(spec.max_retry_duration, spec.max_retry_duration),
            jitter=one(spec.jitter, spec.jitter),
            cancel_grace=one(spec.cancel_grace, spec.cancel_grace),
        )
