"""The committed dashboards of Grafana, and all of their panels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "infra" / "grafana"
DASHBOARDS: list[dict[str, Any]] = [
    json.loads(path.read_text(encoding="utf-8")) for path in sorted((FOLDER / "dashboards").glob("*.json"))
]


def panels_of(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Without rows; with the panels of collapsed rows."""
    for each in dashboard["panels"]:
        yield from each["panels"] if each["type"] == "row" else [each]


PANELS: list[tuple[str, dict[str, Any]]] = [
    (dashboard["uid"], panel) for dashboard in DASHBOARDS for panel in panels_of(dashboard)
]
"""The uid of the dashboard, and the panel."""


def name_of(named: tuple[str, dict[str, Any]]) -> str:
    return f"{named[0].removeprefix('tidemill-')}: {named[1]['title']}"
