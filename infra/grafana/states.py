"""How the states of runs look: one color for each, the same on all dashboards."""

from __future__ import annotations

from typing import Any

from schemas.words import OPEN_STATES, RunState

Json = dict[str, Any]

COLORS = {
    RunState.QUEUED: "light-blue",
    RunState.RUNNING: "blue",
    RunState.RETRY_WAIT: "orange",
    RunState.CANCELLING: "purple",
    RunState.SUCCEEDED: "green",
    RunState.FAILED: "red",
    RunState.TIMED_OUT: "dark-orange",
    RunState.CANCELLED: "light-purple",
    RunState.DEAD: "dark-red",
    RunState.SKIPPED: "light-yellow",
    RunState.MISSED: "dark-yellow",
    RunState.UPSTREAM_FAILED: "light-red",
}
OPEN = ", ".join(f"'{each.value}'" for each in RunState if each in OPEN_STATES)
"""For `state in (…)` in SQL."""
_ORDER = ", ".join(f"'{each.value}'" for each in RunState)


def as_number(column: str) -> str:
    """SQL: the place of a state in `RunState`. A timeline of texts needs numbers, which `as_text` shows as words."""
    return f"array_position(array[{_ORDER}], {column})"


def as_text() -> list[Json]:
    options = {
        str(place): {"color": COLORS[state], "index": place - 1, "text": state.value}
        for place, state in enumerate(RunState, 1)
    }
    return [{"type": "value", "options": options}]


def words() -> list[Json]:
    """Value mappings that color a column of words."""
    options = {
        state.value: {"color": COLORS[state], "index": index, "text": state.value}
        for index, state in enumerate(RunState)
    }
    return [{"type": "value", "options": options}]


def by_name() -> list[Json]:
    """Overrides that color the series that are named as a state."""
    return [
        {
            "matcher": {"id": "byName", "options": state.value},
            "properties": [{"id": "color", "value": {"fixedColor": COLORS[state], "mode": "fixed"}}],
        }
        for state in RunState
    ]
