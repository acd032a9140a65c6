"""The settings that every process of a deployment shares: one record in the topic `cluster` (protocol O11)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
from pydantic_settings import BaseSettings

from schemas.classes import parse_classes
from schemas.control import LOOK_BACK
from schemas.errors import TidemillError
from schemas.settings import DEFAULT_CLASSES, AgreedSettings, Connections

S = TypeVar("S", bound=BaseSettings)

RECORD_KEY = b"settings"
HEARTBEATS_IN_A_LEASE = 2
"""One lost heartbeat must not expire a lease."""


def _default(name: str) -> timedelta:
    found: timedelta = AgreedSettings.model_fields[name].default
    return found


class DisagreementError(TidemillError):
    """A setting of this process contradicts the deployment's settings, or these contradict each other."""


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """The shared settings, named as their variables. N is not among them, because the topics have it."""

    version: int = 1
    """Increases with each change."""
    timeout_classes: str = DEFAULT_CLASSES
    dispatch_valid_for: timedelta = _default("dispatch_valid_for")
    claim_grace: timedelta = _default("claim_grace")
    lease: timedelta = _default("lease")
    request_ttl: timedelta = _default("request_ttl")

    @property
    def classes(self) -> tuple[str, ...]:
        return class_names(self.timeout_classes)

    @property
    def values(self) -> dict[str, Any]:
        """The settings by name, without the version."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if name != "version"}


class Margins(msgspec.Struct, frozen=True, kw_only=True):
    """An executor's settings that limit `lease` and `claim_grace`."""

    name: str
    lease_margin: timedelta
    heartbeat_interval: timedelta


def class_names(timeout_classes: str) -> tuple[str, ...]:
    """The names of the classes, the shortest first. Raises `InvalidClassError`."""
    return tuple(each.name for each in parse_classes(timeout_classes))


def normal(name: str, value: Any) -> Any:
    """The value in a form in which equal lists of classes are equal strings."""
    return ",".join(class_names(value)) if name == "timeout_classes" else value


def check_values(cluster: Cluster) -> None:
    """Raises `DisagreementError` or `InvalidClassError`."""
    class_names(cluster.timeout_classes)
    for name, value in cluster.values.items():
        if isinstance(value, timedelta) and value <= timedelta(0):
            raise DisagreementError(f"{name} is {in_words(value)}: it must be longer than 0")
    for name in ("dispatch_valid_for", "claim_grace"):
        if cluster.values[name] > LOOK_BACK / 2:
            raise DisagreementError(
                f"{name} is {in_words(cluster.values[name])}: at most {in_words(LOOK_BACK / 2)} is allowed, because "
                "an executor that starts reads the kills of twice that time"
            )


def check_margins(cluster: Cluster, executors: Iterable[Margins]) -> None:
    """Raises `DisagreementError` for the first executor whose processes would end before it renews their lease."""
    for each in executors:
        needed = each.lease_margin + HEARTBEATS_IN_A_LEASE * each.heartbeat_interval
        if cluster.lease < needed:
            raise DisagreementError(
                f"lease is {in_words(cluster.lease)}, and the executor {each.name} needs at least {in_words(needed)}: "
                f"its TIDEMILL_LEASE_MARGIN ({in_words(each.lease_margin)}) and {HEARTBEATS_IN_A_LEASE} times its "
                f"TIDEMILL_HEARTBEAT_INTERVAL ({in_words(each.heartbeat_interval)}); make the lease longer "
                "(`tidemill cluster set lease=…`), or these shorter"
            )
        if cluster.claim_grace <= each.lease_margin:
            raise DisagreementError(
                f"claim_grace is {in_words(cluster.claim_grace)}, and the executor {each.name} gives up a claim "
                f"{in_words(each.lease_margin)} (its TIDEMILL_LEASE_MARGIN) before its end: no claim would last; make "
                "claim_grace longer (`tidemill cluster set claim_grace=…`), or the margin shorter"
            )


def disagreements(settings: BaseSettings, cluster: Cluster) -> list[str]:
    """A sentence for each variable of the environment that contradicts the record."""
    return [
        f"TIDEMILL_{name.upper()} is {in_words(given)}, and this deployment has {name}={in_words(value)}: unset the "
        f"variable, or change the value for every process with `tidemill cluster set {name}={in_words(given)}`"
        for name, value in cluster.values.items()
        if name in settings.model_fields_set and normal(name, given := getattr(settings, name)) != normal(name, value)
    ]


def agreed(settings: S, cluster: Cluster) -> S:
    """The settings with the values of the record. Raises `DisagreementError`."""
    for sentence in disagreements(settings, cluster):
        raise DisagreementError(sentence)
    return overlaid(settings, cluster)


def overlaid(settings: S, cluster: Cluster) -> S:
    """The settings with the values of the record, which replace those of the environment."""
    ours = {name: value for name, value in cluster.values.items() if name in type(settings).model_fields}
    return settings.model_copy(update=ours)


def wrong_partitions(connections: Connections, found: int) -> str | None:
    """A sentence if the environment sets another N than the topics have."""
    if "partitions" not in connections.model_fields_set or connections.partitions == found:
        return None
    return (
        f"TIDEMILL_PARTITIONS is {connections.partitions}, and the topics have {found} partitions: unset the variable; "
        "the number cannot change later, because it decides which owner has which job"
    )


def misshapen(cluster: Cluster, counts: Mapping[str, int], wanted: Sequence[str]) -> str | None:
    """A sentence if a topic is missing, or has another number of partitions than the first one."""
    missing = [name for name in wanted if name not in counts]
    if missing:
        return (
            f"there is no topic {', '.join(missing)} (timeout classes {cluster.timeout_classes}): "
            "run `tidemill migrate`, or allow this Kafka user to describe it"
        )
    first = wanted[0]
    return next(
        (
            f"topic {name} has {counts[name]} partitions, {first} has {counts[first]}: all topics "
            "need the same number; delete the wrong topic, and let `tidemill migrate` create it"
            for name in wanted
            if counts[name] != counts[first]
        ),
        None,
    )


def in_words(value: Any) -> str:
    """The value as a setting takes it: a duration as PT30S or P7D."""
    if not isinstance(value, timedelta):
        return str(value)
    if value % timedelta(days=1):
        return f"PT{value / timedelta(seconds=1):.10g}S"
    return f"P{value.days}D"
