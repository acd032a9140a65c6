"""Looks at the shared settings, and compares them with this command's environment, which a process may have too."""

from __future__ import annotations

from connectors.cluster import look as find
from connectors.settings import RetentionSettings
from schemas.cluster import disagreements, wrong_partitions
from schemas.cluster_record import of_deployment
from schemas.errors import TidemillError
from schemas.settings import Connections, read
from streams.settings import StreamSettings
from tidemill.doctor.facts import Settings, Silent, silent


def look(target: Connections) -> tuple[Settings | Silent, Connections]:
    """The settings, and the connections completed with them for the other looks."""
    try:
        found = find(target)
    except TidemillError as error:
        return silent(error), target
    partitions = found.partitions(target)
    said = [wrong_partitions(target, partitions)] if partitions else []
    if found.cluster:
        for settings in (target, read(StreamSettings), read(RetentionSettings)):
            said += disagreements(settings, found.cluster)
    contradictions = tuple(dict.fromkeys(each for each in said if each))
    return Settings(cluster=found.cluster, contradictions=contradictions), of_deployment(target, found)
