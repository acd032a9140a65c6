"""Writes infra/grafana/dashboards from infra/grafana/boards: `make dashboards`."""

from __future__ import annotations

from pathlib import Path

import orjson

from infra.grafana.boards import ALL
from infra.grafana.dashboard import Dashboard

FOLDER = Path(__file__).with_name("dashboards")


def file_of(dashboard: Dashboard) -> Path:
    return FOLDER / f"{dashboard.uid}.json"


def text_of(dashboard: Dashboard) -> bytes:
    return orjson.dumps(dashboard.json(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for dashboard in ALL:
        file_of(dashboard).write_bytes(text_of(dashboard))


if __name__ == "__main__":
    main()
