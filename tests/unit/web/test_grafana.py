"""A page links to its dashboard in Grafana, if one is set."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from tidemill.web.ask import Ask
from tidemill.web.grafana import dashboard_url

DASHBOARDS = Path(__file__).parents[3] / "infra" / "grafana" / "dashboards"


def ask(path, grafana="http://grafana.example/", **parts):
    now = datetime(2026, 11, 30, tzinfo=UTC)
    return Ask(path=path, parts=parts, query={}, form={}, timezone="UTC", now=now, grafana=grafana)


PAGES = [
    (ask("/"), "http://grafana.example/d/tidemill-overview"),
    (ask("/jobs/a%20b", job_id="a b"), "http://grafana.example/d/tidemill-job?var-job_id=a+b"),
    (ask("/dags/etl", dag_id="etl"), "http://grafana.example/d/tidemill-dag?var-dag_id=etl"),
    (ask("/fleet"), "http://grafana.example/d/tidemill-executors"),
    (ask("/problems"), "http://grafana.example/d/tidemill-pipeline"),
]


@pytest.mark.parametrize(("page", "address"), PAGES)
def test_a_page_links_to_a_dashboard_that_exists(page, address):
    assert dashboard_url(page) == address
    name, _, query = address.rpartition("/")[2].partition("?var-")
    found = orjson.loads((DASHBOARDS / f"{name}.json").read_bytes())
    variables = {each["name"] for each in found["templating"]["list"]}
    assert not query or query.partition("=")[0] in variables


def test_without_a_grafana_there_is_no_link():
    assert dashboard_url(ask("/", grafana=None)) is None
