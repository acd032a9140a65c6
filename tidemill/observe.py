"""What one can see of a running deployment from outside: its connector, and its executors with their free slots."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin._listoffsets import OffsetSpec

from connectors import connect_api
from connectors.settings import SourceSettings
from schemas.codec import decode
from schemas.errors import TidemillError, UndecodableError
from schemas.heartbeat import ExecutorState, Heartbeat
from schemas.settings import Connections, read
from schemas.times import epoch_ms, from_epoch_ms
from schemas.topics import EXECUTORS
from tidemill.lag import KAFKA_SECONDS, admin_client, offsets, read_to_end, unavailable

Word = tuple[datetime, Heartbeat]
"""When it was appended, and what it says."""
RECENT = timedelta(seconds=60)
"""An executor that was silent for longer is not shown: another one has its name by then."""
MISSED_HEARTBEATS = 4
"""So many in a row, and an executor is shown as silent."""


def connector_state(place: Connections) -> str:
    """`RUNNING`, or what Connect says instead of the connector or its task."""
    name = read(SourceSettings).connector_name
    try:
        found = connect_api.get_state(place.connect_url, name)
    except TidemillError:
        return "UNREACHABLE"
    if found is None:
        return "ABSENT"
    state, _, tasks = found
    return next((each for each in (state, *(task.state for task in tasks)) if each != "RUNNING"), state)


def executors(place: Connections, now: datetime) -> list[dict[str, Any]]:
    """The executors of the last minute. Raises `BrokersError`."""
    words = words_of(place, now)
    return executor_rows(present(words), now, doubled(words))


def heartbeats(place: Connections, now: datetime) -> list[Heartbeat]:
    """The latest word of each executor of the last minute that is not gone. Raises `BrokersError`."""
    return [heartbeat for _, heartbeat in present(words_of(place, now))]


def present(words: Iterable[Word]) -> list[Word]:
    """Each process has an id of its own, and ids lie in many partitions: only append times say which word is the last.

    Those that left cleanly are gone; so is one that fell silent where another has come under its name since.
    """
    latest = {heartbeat.executor_id: (at, heartbeat) for at, heartbeat in sorted(words, key=_at)}
    newest = {heartbeat.name: at for at, heartbeat in sorted(latest.values(), key=_at)}
    return [
        (at, heartbeat)
        for at, heartbeat in sorted(latest.values(), key=lambda each: (each[1].name, each[1].executor_id))
        if heartbeat.state is not ExecutorState.GONE and not _is_silent(heartbeat, newest[heartbeat.name] - at)
    ]


def doubled(words: Iterable[Word]) -> set[str]:
    """The names under which two executors work at once: each has spoken after the other had begun to."""
    spans: dict[str, dict[str, tuple[datetime, datetime]]] = {}
    for at, heartbeat in sorted(words, key=_at):
        if heartbeat.state is ExecutorState.RUNNING:
            spoken = spans.setdefault(heartbeat.name, {})
            spoken[heartbeat.executor_id] = (spoken.get(heartbeat.executor_id, (at, at))[0], at)
    return {
        name
        for name, spoken in spans.items()
        if any(one[0] < other[1] and other[0] < one[1] for one, other in combinations(spoken.values(), 2))
    }


def executor_rows(words: Iterable[Word], now: datetime, doubled: Collection[str] = ()) -> list[dict[str, Any]]:
    """Slots and free slots of all classes together, and by class."""
    return [
        {
            "name": heartbeat.name,
            "executor_id": heartbeat.executor_id,
            "host": heartbeat.host,
            "version": heartbeat.version,
            "settings_version": heartbeat.cluster_version,
            "state": _state(heartbeat, now - at),
            "shares_its_name": heartbeat.name in doubled,
            "slots": sum(each.total for each in heartbeat.slots),
            "free": sum(each.free for each in heartbeat.slots),
            "classes": {each.timeout_class: {"slots": each.total, "free": each.free} for each in heartbeat.slots},
            "attempts": [each.run_id for each in heartbeat.attempts],
        }
        for at, heartbeat in words
    ]


def words_of(place: Connections, now: datetime) -> list[Word]:
    """All heartbeats of the last minute. Raises `BrokersError`."""
    try:
        return [
            (from_epoch_ms(message.timestamp()[1]), heartbeat)
            for message in read_to_end(place, _offsets_at(place, now - RECENT))
            if (heartbeat := _heartbeat(message.value()))
        ]
    except (KafkaException, TimeoutError) as error:
        raise unavailable(place, error) from error


def _at(word: Word) -> datetime:
    return word[0]


def _state(heartbeat: Heartbeat, silence: timedelta) -> str:
    return "silent" if _is_silent(heartbeat, silence) else heartbeat.state.value


def _is_silent(heartbeat: Heartbeat, silence: timedelta) -> bool:
    return silence > MISSED_HEARTBEATS * heartbeat.interval


def _heartbeat(value: bytes | None) -> Heartbeat | None:
    """None for a tombstone, or for what another version wrote."""
    try:
        return decode(value, Heartbeat) if value else None
    except UndecodableError:
        return None


def _offsets_at(place: Connections, instant: datetime) -> dict[tuple[str, int], int]:
    """Where each partition of `executors` goes on after `instant`; without those that have nothing newer."""
    admin = admin_client(place)
    topic = place.topic(EXECUTORS)
    known = admin.list_topics(topic, timeout=KAFKA_SECONDS).topics[topic].partitions
    found = offsets(admin, [(topic, number) for number in known], OffsetSpec.for_timestamp(epoch_ms(instant)))
    return {each: offset for each, offset in found.items() if offset >= 0}
