"""Asks what Grafana's panels ask, as Grafana does: with its macros and variables replaced."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.sql import Literal

from tests.support.servers.prometheus_server import PrometheusServer

STEP = "1s"
RATE_INTERVAL = "15s"
"""Grafana takes four times the interval of scrapes or more."""
TIME_FILTER = re.compile(r"\$__timeFilter\(([\w.]+)\)")
TIME_GROUP = re.compile(r"\$__timeGroupAlias\(([\w.]+), \$__interval\)")
CHOSEN = re.compile(r"\$\{(\w+):sqlstring\}")


class Range(NamedTuple):
    begin: datetime
    end: datetime

    @property
    def seconds(self) -> int:
        return max(1, int((self.end - self.begin).total_seconds()))


def series(prometheus: PrometheusServer, target: dict[str, Any], asked: Range) -> list[dict[str, Any]]:
    """The series that have a number. Fails with Prometheus' own message."""
    expression = promql(target["expr"], asked)
    if target["instant"]:
        found = prometheus.get("query", query=expression, time=asked.end.isoformat())["result"]
    else:
        begin, end = asked.begin.isoformat(), asked.end.isoformat()
        found = prometheus.get("query_range", query=expression, start=begin, end=end, step=STEP)["result"]
    return [each for each in found if any(not math.isnan(number) for number in _numbers(each))]


def _numbers(one: dict[str, Any]) -> list[float]:
    return [float(number) for _, number in one.get("values", [one.get("value")])]


def promql(expression: str, asked: Range) -> str:
    """With the variable `job` at `All`."""
    said = expression.replace("$__rate_interval", RATE_INTERVAL).replace("$__range", f"{asked.seconds}s")
    said = said.replace('"$job"', '"tidemill.*"')
    assert "$" not in said, said
    return said


def sql(query: str, asked: Range, chosen: dict[str, str]) -> str:
    """`chosen`: the values of the dashboard's variables."""
    begin, end = (Literal(each).as_string() for each in asked)
    said = TIME_FILTER.sub(lambda found: f"{found[1]} between {begin} and {end}", query)
    said = TIME_GROUP.sub(lambda found: f'floor(extract(epoch from {found[1]}) / 10) * 10 as "time"', said)
    said = CHOSEN.sub(lambda found: Literal(chosen[found[1]]).as_string(), said).replace("$__searchFilter", "")
    assert "$" not in said, said
    return said
