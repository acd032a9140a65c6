"""The secrets of an executor: read once for many attempts, kept for a while, and masked in what attempts write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import structlog

from executors.secrets.allow_list import AllowList
from executors.secrets.masking import Masker, masker_of
from executors.secrets.needles import SHORTEST_BYTES, needles_of
from executors.secrets.provider import Provider, SecretError
from executors.threads import Threads, in_time
from schemas.dispatch import Dispatch

_LOG = structlog.get_logger()
PREFIX = "secret:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The secrets of one attempt."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    masker: Masker | None = None
    """None: the attempt has no secrets."""

    def mask(self, text: str) -> str:
        return self.masker.mask_text(text) if self.masker else text


NO_SECRETS = Resolved()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    value: str | SecretError = field(repr=False)
    needles: frozenset[bytes] = field(repr=False)
    stamp: Hashable
    asked: float
    """When the provider was asked (`time.monotonic`)."""


class Secrets:
    """Used from the event loop; threads ask the provider."""

    def __init__(self, provider: Provider, allowed: AllowList, *, max_age: timedelta, fetch_timeout: timedelta) -> None:
        self._provider, self._allowed = provider, allowed
        self._max_age, self._fetch_timeout = max_age.total_seconds(), fetch_timeout
        self._threads = Threads("secrets")
        self._kept: dict[str, _Kept] = {}
        self._asking: dict[str, asyncio.Task[dict[str, _Kept]]] = {}
        """Whoever needs a name that is being asked for waits for the same answer."""

    def at_hand(self, dispatch: Dispatch) -> Resolved | None:
        """None: the provider has to be asked, by `resolve`. Raises `SecretError` if the tenant may not use one."""
        names = names_in(dispatch.env.values())
        if not names:
            return NO_SECRETS
        self._allowed.check(dispatch.tenant, names)
        kept = {name: self._kept[name] for name in names if self._is_current(name)}
        return _resolved(kept) if len(kept) == len(names) else None

    async def resolve(self, dispatch: Dispatch) -> Resolved:
        """Raises `SecretError`, or `UnreachableError` if the provider did not answer within `fetch_timeout`."""
        names = names_in(dispatch.env.values())
        self._allowed.check(dispatch.tenant, names)
        kept = {name: self._kept[name] for name in names if self._is_current(name)}
        missing = [name for name in names if name not in kept and name not in self._asking]
        if missing:
            task = _shared(self._ask(missing))
            self._asking |= dict.fromkeys(missing, task)
        tasks = {self._asking[name] for name in names if name not in kept}
        async with in_time(self._fetch_timeout, "secrets"):
            for task in tasks:
                kept |= await asyncio.shield(task)
        return await self._threads.run(partial(_resolved, {name: kept[name] for name in names}))

    def close(self) -> None:
        self._threads.close()

    def _is_current(self, name: str) -> bool:
        kept = self._kept.get(name)
        if kept is None or time.monotonic() - kept.asked > self._max_age:
            return False
        return kept.stamp == self._provider.stamp(name)

    async def _ask(self, names: list[str]) -> dict[str, _Kept]:
        """A name without a value is not kept: the next attempt asks again."""
        until = time.monotonic() + self._fetch_timeout.total_seconds()
        try:
            found = await self._threads.run(partial(self._read, names), until)
        finally:
            for name in names:
                del self._asking[name]
        self._kept |= {name: each for name, each in found.items() if isinstance(each.value, str)}
        return found

    def _read(self, names: list[str]) -> dict[str, _Kept]:
        """In a thread, because the needles of a long secret take milliseconds."""
        asked = time.monotonic()
        stamps = {name: self._provider.stamp(name) for name in names}
        answers = self._provider.read(names)
        return {name: _keep(name, answers[name], stamps[name], asked) for name in names}


def names_in(values: Iterable[str]) -> list[str]:
    """The names of the secrets that variables with these values stand for, each once."""
    return list(dict.fromkeys(each.removeprefix(PREFIX) for each in values if each.startswith(PREFIX)))


def _keep(name: str, value: str | SecretError, stamp: Hashable, asked: float) -> _Kept:
    needles = needles_of(value) if isinstance(value, str) else frozenset()
    if isinstance(value, str) and not needles:
        _LOG.warning("secret is not masked", name=name, reason=f"it has less than {SHORTEST_BYTES} bytes")
    return _Kept(value=value, needles=needles, stamp=stamp, asked=asked)


def _resolved(kept: Mapping[str, _Kept]) -> Resolved:
    values: dict[str, str] = {}
    for name, each in kept.items():
        if isinstance(each.value, SecretError):
            raise each.value
        values[name] = each.value
    return Resolved(values=values, masker=masker_of(*(each.needles for each in kept.values())))


def _shared(work: Coroutine[Any, Any, dict[str, _Kept]]) -> asyncio.Task[dict[str, _Kept]]:
    """A task that goes on if its callers stop waiting; its exception then counts as retrieved."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
