"""The data sources of the dashboards, and what a panel asks them."""

from __future__ import annotations

import re
from pathlib import Path
from string import ascii_uppercase

import msgspec

from infra.grafana import states
from infra.grafana.states import Json

PROMETHEUS = {"type": "prometheus", "uid": "${prometheus_datasource}"}
POSTGRES = {"type": "grafana-postgresql-datasource", "uid": "${postgres_datasource}"}
KAFKA = {"type": "hamedkarbasi93-kafka-datasource", "uid": "${kafka_datasource}"}
"""A plugin that reads a topic live; it has no ranges of time and no alerts, so only one panel uses it."""

SQL = Path(__file__).with_name("sql")
_STATE_NUMBER = re.compile(r"state_number\(([\w.]+)\)")
_SERIES = re.compile(r"\b(tidemill_\w+|process_\w+|up)\b(\{)?")


class PromQL(msgspec.Struct, frozen=True, kw_only=True):
    expr: str
    """Without the matcher of the scrape job, which `scoped` adds."""
    legend: str = ""
    """The name of each series, such as `{{class}}`."""
    only_now: bool = False
    """One value for the end of the time range instead of a line."""
    as_table: bool = False

    def target(self, number: int) -> Json:
        return {
            "datasource": PROMETHEUS,
            "editorMode": "code",
            "expr": scoped(self.expr),
            "format": "table" if self.as_table else "time_series",
            "instant": self.only_now,
            "legendFormat": self.legend,
            "range": not self.only_now,
            "refId": ascii_uppercase[number],
        }


class Sql(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """Of a file in infra/grafana/sql; there, `open_states` and `state_number(column)` stand for what `states` makes."""
    over_time: bool = False
    """The columns are `time`, an optional text `metric`, and numbers."""

    def target(self, number: int) -> Json:
        return {
            "datasource": POSTGRES,
            "editorMode": "code",
            "format": "time_series" if self.over_time else "table",
            "rawQuery": True,
            "rawSql": sql_text(self.name),
            "refId": ascii_uppercase[number],
        }


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """The records of a topic as they are written."""

    topic: str
    last: int

    def target(self, number: int) -> Json:
        return {
            "autoOffsetReset": "lastN",
            "datasource": KAFKA,
            "keyFormat": "string",
            "lastN": self.last,
            "messageFormat": "json",
            "partition": "all",
            "refId": ascii_uppercase[number],
            "timestampMode": "message",
            "topicName": self.topic,
        }


Query = PromQL | Sql | Tail


def scoped(expr: str) -> str:
    """Only series of the chosen scrape jobs, so that one Prometheus may hold several deployments."""
    return _SERIES.sub(lambda found: found[1] + '{job=~"$job"' + (", " if found[2] else "}"), expr)


def sql_text(name: str) -> str:
    text = (SQL / f"{name}.sql").read_text(encoding="utf-8").strip()
    return _STATE_NUMBER.sub(lambda found: states.as_number(found[1]), text).replace("open_states", states.OPEN)
