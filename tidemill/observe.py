"""What one can see of a running deployment from outside: its connector, and its executors with their free slots."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
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
    """The latest word of each executor of the last minute. Raises `BrokersError`."""
    latest: dict[str, tuple[datetime, Heartbeat]] = {}
    try:
        begin = _offsets_at(place, now - RECENT)
        for message in read_to_end(place, begin):
            heartbeat = _heartbeat(message.value())
            if heartbeat:
                latest[heartbeat.name] = (from_epoch_ms(message.timestamp()[1]), heartbeat)
    except (KafkaException, TimeoutError) as error:
        raise unavailable(place, error) from error
    return executor_rows(latest, now)


def executor_rows(latest: Mapping[str, tuple[datetime, Heartbeat]], now: datetime) -> list[dict[str, Any]]:
    """Slots and free slots of all classes together, and by class. Those that left cleanly are gone."""
    return [
        {
            "name": name,
            "executor_id": heartbeat.executor_id,
            "host": heartbeat.host,
            "version": heartbeat.version,
            "state": _state(heartbeat, now - appended_at),
            "slots": sum(each.total for each in heartbeat.slots),
            "free": sum(each.free for each in heartbeat.slots),
            "classes": {each.timeout_class: {"slots": each.total, "free": each.free} for each in heartbeat.slots},
            "attempts": [each.run_id for each in heartbeat.attempts],
        }
        for name, (appended_at, heartbeat) in sorted(latest.items())
        if heartbeat.state is not ExecutorState.GONE
    ]


def _state(heartbeat: Heartbeat, silence: timedelta) -> str:
    return "silent" if silence > MISSED_HEARTBEATS * heartbeat.interval else heartbeat.state.value


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
