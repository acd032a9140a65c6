"""Reads the state of the connector of a running deployment."""

from __future__ import annotations

from connectors import connect_api
from connectors.settings import SourceSettings
from schemas.errors import TidemillError
from schemas.settings import Connections, read


def connector_state(target: Connections) -> str:
    """`RUNNING`, or the other state that Connect reports for the connector or its task."""
    name = read(SourceSettings).connector_name
    try:
        found = connect_api.get_state(target.connect_url, name)
    except TidemillError:
        return "UNREACHABLE"
    if found is None:
        return "ABSENT"
    state, _, tasks = found
    return next((each for each in (state, *(task.state for task in tasks)) if each != "RUNNING"), state)
