"""What tests use to look at metrics and at web pages works: the real Prometheus, promtool and a Chromium."""

from __future__ import annotations

import pytest

from tests.support import promtool
from tests.support.servers.prometheus_server import running_prometheus
from tests.support.waiting import eventually

CONFIGURATION = """
global: {scrape_interval: 100ms}
rule_files: [rules.yaml]
scrape_configs:
  - job_name: itself
    file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]
"""
RULES = """
groups:
  - name: one
    rules:
      - alert: Down
        expr: up == 0
        for: FOR
"""
STORY = """
rule_files: [rules.yaml]
tests:
  - input_series: [{series: up, values: 0x10}]
    alert_rule_test: [{eval_time: 5m, alertname: Down, exp_alerts: [{exp_labels: {}}]}]
"""


def test_prometheus_scrapes_what_it_is_given_and_answers_queries():
    with running_prometheus(CONFIGURATION) as prometheus:
        target = prometheus.url.removeprefix("http://")
        (prometheus.folder / "targets.json").write_text(f'[{{"targets": ["{target}"]}}]')
        eventually(lambda: prometheus.value("up") == 1)
        assert prometheus.query("up")[0]["metric"]["job"] == "itself"
        assert prometheus.value("nothing") is None
        with pytest.raises(AssertionError, match="parse error"):
            prometheus.query("sum(")


def test_promtool_names_a_metric_that_breaks_the_conventions():
    promtool.check_metrics("# HELP runs_total Runs.\n# TYPE runs_total counter\nruns_total 1\n")
    with pytest.raises(AssertionError, match='counter metrics should have "_total" suffix'):
        promtool.check_metrics("# HELP runs Runs.\n# TYPE runs counter\nruns 1\n")


def test_promtool_tests_rules(tmp_path):
    rules, story = tmp_path / "rules.yaml", tmp_path / "story.yaml"
    story.write_text(STORY)
    rules.write_text(RULES.replace("FOR", "1m"))
    promtool.check_rules(rules)
    promtool.test_rules(story)
    rules.write_text(RULES.replace("FOR", "1h"))
    with pytest.raises(AssertionError, match="FAILED"):
        promtool.test_rules(story)


def test_a_page_runs_its_scripts(browser):
    page = browser.new_page()
    page.set_content("<p></p><script>document.querySelector('p').textContent = 6 * 7</script>")
    assert page.inner_text("p") == "42"
    page.close()
