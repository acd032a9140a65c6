"""Reads the executors of a running deployment from their heartbeats: their state, slots, windows and attempts."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

from confluent_kafka import KafkaException
from msgspec import to_builtins
from msgspec.structs import asdict

from schemas.codec import decode
from schemas.confinement import Capabilities, Sandbox
from schemas.errors import UndecodableError
from schemas.heartbeat import ExecutorState, Heartbeat
from schemas.settings import Connections
from schemas.times import epoch_ms, from_epoch_ms
from schemas.topics import EXECUTORS
from tidemill.lag import KAFKA_SECONDS, admin_client, offsets, read_to_end, unavailable

Beat = tuple[datetime, Heartbeat]
"""When a heartbeat was appended, and the heartbeat."""
RECENT = timedelta(seconds=60)
"""An executor without a heartbeat for longer is not shown; a new one may have its name by then."""
ILL = "ill"
"""The state of an executor that runs, could start no process, and has given its partitions back."""
MISSED_HEARTBEATS = 4
"""After this many missed heartbeats, an executor is shown as silent."""


def executors(target: Connections, now: datetime) -> list[dict[str, Any]]:
    """The executors of the last minute. Raises `BrokersError`."""
    beats = recent_beats(target, now)
    return executor_rows(present(beats), now, shared_names(beats))


def heartbeats(target: Connections, now: datetime) -> list[Heartbeat]:
    """The latest heartbeat of each present executor. Raises `BrokersError`."""
    return [heartbeat for _, heartbeat in present(recent_beats(target, now))]


def present(beats: Iterable[Beat]) -> list[Beat]:
    """The latest heartbeat of each executor that is present, by append time.

    An executor is not present if it left cleanly, or if it is silent and a newer one has its name.
    """
    latest = {heartbeat.executor_id: (at, heartbeat) for at, heartbeat in sorted(beats, key=_at)}
    newest = {heartbeat.name: at for at, heartbeat in sorted(latest.values(), key=_at)}
    return [
        (at, heartbeat)
        for at, heartbeat in sorted(latest.values(), key=lambda each: (each[1].name, each[1].executor_id))
        if heartbeat.state is not ExecutorState.GONE and not _is_silent(heartbeat, newest[heartbeat.name] - at)
    ]


def shared_names(beats: Iterable[Beat]) -> set[str]:
    """Names that two running executors share: each sent a heartbeat after the other's first one."""
    spans: dict[str, dict[str, tuple[datetime, datetime]]] = {}
    for at, heartbeat in sorted(beats, key=_at):
        if heartbeat.state is ExecutorState.RUNNING:
            span = spans.setdefault(heartbeat.name, {})
            span[heartbeat.executor_id] = (span.get(heartbeat.executor_id, (at, at))[0], at)
    return {
        name
        for name, span in spans.items()
        if any(one[0] < other[1] and other[0] < one[1] for one, other in combinations(span.values(), 2))
    }


def executor_rows(beats: Iterable[Beat], now: datetime, shared_names: Collection[str] = ()) -> list[dict[str, Any]]:
    """One row per executor, with its slots and free slots in total and by class, and its windows."""
    return [
        {
            "name": heartbeat.name,
            "executor_id": heartbeat.executor_id,
            "host": heartbeat.host,
            "version": heartbeat.version,
            "settings_version": heartbeat.cluster_version,
            "state": _state(heartbeat, now - at),
            "ill": heartbeat.ill,
            "capabilities": heartbeat.capabilities and to_builtins(asdict(heartbeat.capabilities)),
            "gives": gives(heartbeat.capabilities),
            "shares_its_name": heartbeat.name in shared_names,
            "slots": sum(each.total for each in heartbeat.slots),
            "free": sum(each.free for each in heartbeat.slots),
            "classes": {each.timeout_class: {"slots": each.total, "free": each.free} for each in heartbeat.slots},
            "windows": _windows(heartbeat),
            "attempts": [each.run_id for each in heartbeat.attempts],
        }
        for at, heartbeat in beats
    ]


def gives(given: Capabilities | None) -> str:
    """What an executor can give to attempts, in words: first its default."""
    if given is None:
        return "nothing: an earlier release"
    others = [each.value for each in given.sandboxes if each not in (given.default, Sandbox.NONE)]
    sandbox = f"{given.default.value} sandbox" if given.default is not Sandbox.NONE else "no sandbox"
    parts = [
        sandbox + (f" ({', '.join(others)} if asked)" if others else ""),
        f"limits {', '.join(each.value for each in given.limits)}" if given.limits else "no limits",
        f"unveil {', '.join(given.unveil)}" if given.unveil else "",
    ]
    return "; ".join(each for each in parts if each)


def _windows(heartbeat: Heartbeat) -> dict[str, dict[str, int]]:
    """By class and partition: how many unfinished dispatches the executor accepts (protocol D1)."""
    found: dict[str, dict[str, int]] = {each.timeout_class: {} for each in heartbeat.slots}
    for each in sorted(heartbeat.windows, key=lambda window: window.partition):
        found.setdefault(each.timeout_class, {})[str(each.partition)] = each.size
    return found


def recent_beats(target: Connections, now: datetime) -> list[Beat]:
    """All heartbeats of the last minute. Raises `BrokersError`."""
    try:
        return [
            (from_epoch_ms(message.timestamp()[1]), heartbeat)
            for message in read_to_end(target, _offsets_at(target, now - RECENT))
            if (heartbeat := _heartbeat(message.value()))
        ]
    except (KafkaException, TimeoutError) as error:
        raise unavailable(target, error) from error


def _at(beat: Beat) -> datetime:
    return beat[0]


def _state(heartbeat: Heartbeat, silence: timedelta) -> str:
    if _is_silent(heartbeat, silence):
        return "silent"
    accepts = heartbeat.ill is None or any(each.size for each in heartbeat.windows)
    return ILL if heartbeat.state is ExecutorState.RUNNING and not accepts else heartbeat.state.value


def _is_silent(heartbeat: Heartbeat, silence: timedelta) -> bool:
    return silence > MISSED_HEARTBEATS * heartbeat.interval


def _heartbeat(value: bytes | None) -> Heartbeat | None:
    """None for a tombstone, and for a heartbeat that this version cannot decode."""
    try:
        return decode(value, Heartbeat) if value else None
    except UndecodableError:
        return None


def _offsets_at(target: Connections, instant: datetime) -> dict[tuple[str, int], int]:
    """The first offset after `instant` in each partition of `executors`, without partitions that have none."""
    admin = admin_client(target)
    topic = target.topic(EXECUTORS)
    known = admin.list_topics(topic, timeout=KAFKA_SECONDS).topics[topic].partitions
    found = offsets(target, [(topic, number) for number in known], epoch_ms(instant))
    return {each: offset for each, offset in found.items() if offset >= 0}
