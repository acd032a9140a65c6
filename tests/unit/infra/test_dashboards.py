"""Grafana's dashboards are what the code makes, fit the public schema, and keep the rules of the well-known linter."""

from __future__ import annotations

import itertools
import json
import re

import pytest
import yaml

from infra.grafana.boards import ALL
from infra.grafana.generate import FOLDER, file_of, text_of
from infra.grafana.sources import SQL
from tests.support.dashboard_schema import unknown_fields, wrong_values
from tests.support.dashboards import DASHBOARDS, PANELS, name_of, panels_of
from tests.support.promql import known_series, matchers, metrics_in
from tests.unit.repository.test_docs_links import ROOT

COLUMNS = 24
UNITS = {"short", "none", "s", "bytes", "Bps", "percentunit", "dateTimeFromNow"}
PAGES = {"", "runs", "jobs", "dags", "fleet", "problems"}
"""The first parts of the web page's paths."""
PROCESS_METRICS = {"process_cpu_seconds_total", "process_resident_memory_bytes"}

each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each["uid"])
each_panel = pytest.mark.parametrize(("uid", "panel"), PANELS, ids=[name_of(each) for each in PANELS])


def expressions(panel):
    return [each["expr"] for each in panel["targets"] if "expr" in each]


@pytest.mark.parametrize("dashboard", ALL, ids=lambda each: each.uid)
def test_a_file_is_what_make_dashboards_writes(dashboard):
    assert file_of(dashboard).read_bytes() == text_of(dashboard), "run `make dashboards`"


def test_there_is_no_other_file():
    assert {path.name for path in FOLDER.iterdir()} == {file_of(each).name for each in ALL}


@each_dashboard
def test_the_public_schema_knows_every_field_and_value(dashboard):
    assert list(unknown_fields(dashboard)) == []
    assert list(wrong_values(dashboard)) == []


@each_dashboard
def test_a_dashboard_belongs_to_no_installation(dashboard):
    assert dashboard["id"] is None
    assert not dashboard["editable"]
    assert dashboard["uid"].startswith("tidemill-")
    assert dashboard["description"].endswith(".")
    chosen = {f"${{{each['name']}}}" for each in dashboard["templating"]["list"] if each["type"] == "datasource"}
    used = re.findall(r'"uid": "(\$?[^"]+)"', json.dumps(dashboard))
    assert set(used) - {dashboard["uid"]} == chosen


@each_dashboard
def test_a_variable_has_a_label_and_is_asked_again_with_the_time_range(dashboard):
    for each in dashboard["templating"]["list"]:
        assert each["label"]
        if each["type"] == "query":
            assert each["refresh"] == 2, each["name"]
            assert each["datasource"]["uid"].startswith("${")


@each_dashboard
def test_the_data_source_of_metrics_and_the_scrape_job_can_be_chosen(dashboard):
    by_name = {each["name"]: each for each in dashboard["templating"]["list"]}
    asks_prometheus = any(expressions(panel) for panel in panels_of(dashboard))
    assert ("prometheus_datasource" in by_name) == ("job" in by_name) == asks_prometheus
    if asks_prometheus:
        assert by_name["prometheus_datasource"]["label"] == "Prometheus data source"
        job = by_name["job"]
        assert (job["label"], job["multi"], job["allValue"], job["type"]) == ("Job", True, "tidemill.*", "query")


@each_dashboard
def test_every_variable_is_used_and_every_used_variable_exists(dashboard):
    text = json.dumps(dashboard["panels"]) + json.dumps(dashboard["links"])
    names = {each["name"] for each in dashboard["templating"]["list"]}
    used = {name for name in re.findall(r"\$\{?(\w+)", text) if not name.startswith("__")}
    assert used == names


@each_dashboard
def test_panels_fill_rows_of_24_columns_and_do_not_overlap(dashboard):
    for group in [dashboard["panels"], *(each["panels"] for each in dashboard["panels"] if each["type"] == "row")]:
        cells = [
            (each["gridPos"]["x"] + x, each["gridPos"]["y"] + y)
            for each in group
            for x, y in itertools.product(range(each["gridPos"]["w"]), range(each["gridPos"]["h"]))
        ]
        assert len(cells) == len(set(cells)), "panels overlap"
        lines = sorted({y for _, y in cells})
        first = lines[0] if lines else 0
        assert set(cells) == set(itertools.product(range(COLUMNS), range(first, first + len(lines))))


@each_dashboard
def test_panels_have_different_ids_and_titles(dashboard):
    ids = [each["id"] for each in dashboard["panels"]]
    titles = [each["title"] for each in panels_of(dashboard)]
    assert len(ids) == len(set(ids))
    assert len(titles) == len(set(titles))


@each_panel
def test_a_panel_has_a_title_a_description_a_unit_and_a_query(uid, panel):
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["targets"]
    assert all(each["datasource"] == panel["datasource"] for each in panel["targets"])
    assert panel["datasource"]["uid"] in {"${prometheus_datasource}", "${postgres_datasource}", "${kafka_datasource}"}


@each_panel
def test_a_query_names_metrics_and_labels_that_exist(uid, panel):
    for expression in expressions(panel):
        names = metrics_in(expression) | set(re.findall(r"\bprocess_\w+", expression))
        assert names <= known_series().keys() | PROCESS_METRICS
        for name, label, value in matchers(expression):
            metric = known_series()[name]
            assert label in {*metric.labels, "le", "job"}, f"{name} has no label {label}"
            values = metric.values.get(label)
            assert not value or values is None or value in values, f"{name}: {label} is never {value}"


@each_panel
def test_a_counter_is_read_as_a_rate_over_the_interval_that_grafana_chooses(uid, panel):
    for target in (each for each in panel["targets"] if "expr" in each):
        counters = re.findall(r"(rate|increase)?\(?(\w+_total)\b", target["expr"])
        assert all(function for function, _ in counters), target["expr"]
        ranges = set(re.findall(r"\[([^\]]+)\]", target["expr"]))
        fixed = {"5m", "1h", "6h"} if "budget" in panel["title"] else set()
        assert ranges <= ({"$__range"} if target["instant"] else {"$__rate_interval"} | fixed)


@each_panel
def test_a_query_asks_only_the_chosen_scrape_jobs(uid, panel):
    for expression in expressions(panel):
        series = re.findall(
            r"\b(?:tidemill_\w+|process_\w+|up)\b(?!\")[^,)\s\[]*", re.sub(r'(?<!{job=~)"[^"]*"', '""', expression)
        )
        assert all('{job=~"$job"' in each for each in series), expression


@each_panel
def test_a_link_leads_to_a_page_of_the_web_page(uid, panel):
    for override in panel["fieldConfig"]["overrides"]:
        for link in (link for each in override["properties"] if each["id"] == "links" for link in each["value"]):
            path = link["url"].removeprefix("${web:raw}/").partition("?")[0].split("/")[0]
            assert link["url"].startswith("${web:raw}/")
            assert path in PAGES


def test_every_sql_file_is_used():
    used = "".join(path.read_text() for path in (ROOT / "infra" / "grafana").rglob("*.py"))
    assert [path.name for path in SQL.glob("*.sql") if f'"{path.stem}"' not in used] == []


def test_every_metric_is_on_a_dashboard_or_in_an_alert():
    """Otherwise it costs something, and no user sees it."""
    shown = "".join(json.dumps(each) for each in DASHBOARDS)
    rules = "".join(path.read_text() for path in (ROOT / "infra" / "prometheus" / "rules").glob("*.yaml"))
    unused = {metric.name for metric in known_series().values() if metric.name not in shown + rules}
    assert unused == NOT_SHOWN


NOT_SHOWN = {
    "tidemill_job_last_success_timestamp_seconds",  # off by default: for rules of the user's own
}


def test_provisioned_data_sources_are_of_the_kinds_that_the_dashboards_ask():
    listing = yaml.safe_load((ROOT / "infra/grafana/provisioning/datasources/tidemill.yaml").read_text())
    kinds = {each["type"] for each in listing["datasources"]}
    assert kinds == {"prometheus", "grafana-postgresql-datasource"}


def test_provisioned_dashboards_cannot_be_changed_by_accident():
    listing = yaml.safe_load((ROOT / "infra/grafana/provisioning/dashboards/tidemill.yaml").read_text())
    (provider,) = listing["providers"]
    assert (provider["allowUiUpdates"], provider["disableDeletion"]) == (False, True)
    assert provider["options"]["path"].endswith("/grafana/dashboards")
