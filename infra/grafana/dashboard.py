"""A dashboard: its variables, and its panels in rows of 24 columns."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from infra.grafana.panels import Panel
from infra.grafana.sources import POSTGRES, PROMETHEUS, sql_text
from infra.grafana.states import Json

COLUMNS = 24
ON_TIME_RANGE_CHANGE = 2
SCHEMA_VERSION = 39
"""Of Grafana 10.2; newer ones convert it when they load it."""
WEB = "http://127.0.0.1:8080"
"""The default address of the web page."""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False
    """Its panels ask nothing until the reader opens it."""


class Dashboard(msgspec.Struct, frozen=True, kw_only=True):
    uid: str
    title: str
    says: str
    sections: tuple[Section, ...]
    variables: tuple[Json, ...]
    since: str = "now-6h"

    def json(self) -> Json:
        return {
            "annotations": {"list": []},
            "description": self.says,
            "editable": False,
            "graphTooltip": 1,
            "id": None,
            "links": [_other_dashboards(), _web_page()],
            "panels": list(_placed(self.sections)),
            "refresh": "30s",
            "schemaVersion": SCHEMA_VERSION,
            "tags": ["tidemill"],
            "templating": {"list": [*self.variables, WEB_VARIABLE]},
            "time": {"from": self.since, "to": "now"},
            "timepicker": {},
            "timezone": "browser",
            "title": f"Tidemill / {self.title}",
            "uid": self.uid,
        }


def datasource(kind: str, name: str, label: str) -> Json:
    return {
        "hide": 0, "includeAll": False, "label": label, "multi": False, "name": name, "options": [], "query": kind,
        "refresh": 1, "regex": "", "type": "datasource",
    }  # fmt: skip


PROMETHEUS_VARIABLE = datasource("prometheus", "prometheus_datasource", "Prometheus data source")
POSTGRES_VARIABLE = datasource("grafana-postgresql-datasource", "postgres_datasource", "Postgres data source")
KAFKA_VARIABLE = datasource("hamedkarbasi93-kafka-datasource", "kafka_datasource", "Kafka data source")
WEB_VARIABLE: Json = {
    "current": {"text": WEB, "value": WEB}, "hide": 0, "label": "Web page", "name": "web",
    "options": [{"selected": True, "text": WEB, "value": WEB}], "query": WEB, "type": "textbox",
}  # fmt: skip
# `All` must not mean the processes of others: `up` and `process_…` exist for every target of Prometheus.
_JOBS = "label_values(tidemill_process_info, job)"
_EVERYTHING = {"text": "All", "value": "$__all"}
SCRAPE_JOB: Json = {
    "allValue": "tidemill.*", "current": _EVERYTHING, "datasource": PROMETHEUS, "definition": _JOBS, "hide": 0,
    "includeAll": True, "label": "Job", "multi": True, "name": "job", "options": [], "query": _JOBS,
    "refresh": ON_TIME_RANGE_CHANGE, "regex": "", "sort": 1, "type": "query",
}  # fmt: skip
METRICS = (PROMETHEUS_VARIABLE, SCRAPE_JOB)
TABLES = (POSTGRES_VARIABLE,)


def choice(name: str, label: str, query: str) -> Json:
    """A variable whose values are the first column of a query in infra/grafana/sql."""
    text = sql_text(query)
    return {
        "datasource": POSTGRES, "definition": text, "hide": 0, "includeAll": False, "label": label, "multi": False,
        "name": name, "options": [], "query": text, "refresh": ON_TIME_RANGE_CHANGE, "regex": "", "sort": 0,
        "type": "query",
    }  # fmt: skip


def textbox(name: str, label: str, value: str) -> Json:
    return WEB_VARIABLE | {
        "current": {"text": value, "value": value}, "label": label, "name": name,
        "options": [{"selected": True, "text": value, "value": value}], "query": value,
    }  # fmt: skip


def _other_dashboards() -> Json:
    return {
        "asDropdown": True, "icon": "external link", "includeVars": True, "keepTime": True, "tags": ["tidemill"],
        "targetBlank": False, "title": "Tidemill", "tooltip": "", "type": "dashboards", "url": "",
    }  # fmt: skip


def _web_page() -> Json:
    return {
        "asDropdown": False, "icon": "external link", "includeVars": False, "keepTime": False, "tags": [],
        "targetBlank": True, "title": "Web page", "tooltip": "Runs, jobs and DAGs, with buttons", "type": "link",
        "url": "${web:raw}/",
    }  # fmt: skip


def _placed(sections: tuple[Section, ...]) -> Iterator[Json]:
    y, number = 0, 1
    for section in sections:
        row: Json = {
            "collapsed": section.collapsed, "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y}, "id": number,
            "panels": [], "title": section.title, "type": "row",
        }  # fmt: skip
        panels = list(_side_by_side(section.panels, y + 1, number + 1))
        number += 1 + len(panels)
        y = max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in panels)
        if section.collapsed:
            row["panels"] = panels
            yield row
        else:
            yield row
            yield from panels


def _side_by_side(panels: tuple[Panel, ...], y: int, first: int) -> Iterator[Json]:
    """From left to right; the next line begins where a panel does not fit, below the tallest one."""
    x = tallest = 0
    for number, panel in enumerate(panels, first):
        if x + panel.width > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        yield panel.json(number, x, y)
        x, tallest = x + panel.width, max(tallest, panel.height)
