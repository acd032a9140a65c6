"""Every question of the dashboards and alerts, put to a real Prometheus and the real read model of a stack that works.

A panel whose figure is 0 in a healthy system must show that 0.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml
from psycopg.rows import dict_row

from infra import prometheus_part
from infra import stack as local
from infra.grafana.sources import sql_text
from tests.support.asked import Range, series, sql
from tests.support.dashboards import PANELS, name_of
from tests.support.observed import reserved_port
from tests.support.rules import ALERTS
from tests.support.servers.prometheus_server import running_prometheus
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

JOB = "dashboard-flaky"
DAG = "dashboard-dag"
CHOSEN = {"job_id": JOB, "dag_id": DAG}
LOAD_SECONDS = 60
ANSWER_SECONDS = 30
"""Figures come with the next scrapes."""
PERHAPS_FIRE = {
    "TidemillRunsDead": "the load has a run that dies",
    "TidemillStartsLateFast": "on a busy machine runs of the load start late",
    "TidemillStartsLateSlow": "on a busy machine runs of the load start late",
}
"""Alerts whose condition may hold here, and why. All others must not."""

of_prometheus = [each for each in PANELS if each[1]["datasource"]["type"] == "prometheus"]
of_postgres = [each for each in PANELS if each[1]["datasource"]["type"] == "grafana-postgresql-datasource"]


@pytest.fixture(scope="module")
def canary(stack, tmp_path_factory):
    """A monitor that requests canary runs: the stack's own does not, because some tests compare all rows of a table."""
    folder = tmp_path_factory.mktemp("monitor")
    with reserved_port(folder) as port, (folder / "log").open("wb") as log:
        own = {"TIDEMILL_CANARY_INTERVAL": "PT2S", "TIDEMILL_OBSERVE_LISTEN": port.address}
        environment = {**os.environ, **local.environment(stack.data), **own}
        process = subprocess.Popen([sys.executable, "-m", "tidemill.monitor"], env=environment, stderr=log)
        try:
            eventually(lambda: port.is_ready, LOAD_SECONDS, (folder / "log").read_text)
            yield port.address
        finally:
            process.terminate()
            process.wait(LOAD_SECONDS)


@pytest.fixture(scope="module")
def prometheus(stack, canary):
    """It scrapes every process of the stack each second, and has the rules."""
    status = local.status(stack.data)
    ports = {each["name"]: urlsplit(each["metrics"]).port for each in status.processes if each["metrics"]}
    ports["monitor-with-canary"] = int(canary.rpartition(":")[2])
    configuration = prometheus_part.configuration(ports)
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    with running_prometheus(yaml.safe_dump(configuration)) as server:
        eventually(lambda: server.value("count(up == 1)") == len(ports), LOAD_SECONDS, f"a scrape of {ports}")
        yield server


@pytest.fixture(scope="module")
def asked(stack, prometheus):
    """The time in which jobs of two tenants succeed, fail, retry, wait, run and are skipped, and a DAG runs."""
    begin = stack.now() - timedelta(seconds=2)
    put_jobs(stack)
    put_dag(stack)
    eventually(lambda: stack.rows(WORKED, {"flaky": JOB, "dag": DAG}), LOAD_SECONDS, lambda: ends(stack))
    yield lambda: Range(begin, stack.now())
    for job_id in ("flaky", "slow", "broken", "waiting"):
        stack.delete_job(f"dashboard-{job_id}")
    stack.database.execute("delete from dags where dag_id = %s", [DAG])


def put_jobs(stack):
    put = stack.put_job
    second = '[ "$TIDEMILL_ATTEMPT" -gt 1 ]'
    retries = {"max_attempts": 2, "initial_interval": timedelta(milliseconds=100)}
    put(JOB, stack.put_script("flaky", f"echo tried; {second}"), tenant="red", schedule="* * * * * *", **retries)
    put(
        "dashboard-slow",
        stack.put_script("slow", "sleep 100"),
        tenant="blue",
        schedule="* * * * * *",
        on_delete="cancel",
    )
    broken = stack.put_script("broken", "exit 3")
    put("dashboard-broken", broken, tenant="blue", **retries)
    later = {"max_attempts": 2, "initial_interval": timedelta(minutes=1), "on_delete": "cancel"}
    put("dashboard-waiting", broken, tenant="blue", **later)
    for job_id in ("broken", "waiting"):
        stack.request(f"dashboard-{job_id}", "once")


def put_dag(stack):
    with stack.database.transaction():
        stack.insert("dags", dag_id=DAG, tenant="red")
        for node_id, needed, script in (("a", [], "true"), ("b", ["a"], "exit 3"), ("c", ["b"], "true")):
            executable = stack.put_script(f"dag-{node_id}", script)
            stack.insert("dag_nodes", dag_id=DAG, node_id=node_id, depends_on=needed, executable=executable)
    for number in range(2):
        stack.insert("requests", dag_id=DAG, request_id=f"dashboard-{number}")


WORKED = """
    select 1
    where (select count(*) > 2 from runs where job_id = %(flaky)s and state = 'succeeded')
      and (select count(*) = 2 from runs where job_id = %(dag)s and kind = 'dag' and state = 'failed')
      and exists (select from runs where job_id = 'dashboard-slow' and state = 'running')
      and exists (select from runs where job_id = 'dashboard-slow' and state = 'skipped')
      and exists (select from runs where job_id = 'dashboard-broken' and state = 'dead')
      and exists (select from runs where job_id = 'dashboard-waiting' and state = 'retry_wait')
"""


def ends(stack):
    found = stack.rows("select job_id, state, count(*) from runs where starts_with(job_id, 'dashboard-') group by 1, 2")
    return f"the load, which is {found},"


@pytest.mark.parametrize("named", of_prometheus, ids=name_of)
def test_prometheus_has_an_answer_to_each_query_of_a_panel(prometheus, asked, named):
    for target in named[1]["targets"]:
        eventually(lambda: series(prometheus, target, asked()), ANSWER_SECONDS, target["expr"])  # noqa: B023


@pytest.mark.parametrize("named", of_postgres, ids=name_of)
def test_the_read_model_has_rows_for_each_query_of_a_panel(reader, asked, named):
    for target in named[1]["targets"]:
        query = sql(target["rawSql"], asked(), CHOSEN)
        rows = reader.execute(query).fetchall()
        assert rows, query
        assert any(value is not None for row in rows for value in row.values()), query
        if target["format"] == "time_series":
            times = [row["time"] for row in rows]
            assert times == sorted(times), query


@pytest.mark.parametrize("name", ["jobs", "dags"])
def test_a_variable_has_values(reader, asked, name):
    assert reader.execute(sql(sql_text(name), asked(), CHOSEN)).fetchall()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda each: each["alert"])
def test_a_healthy_stack_has_no_reason_for_an_alert(prometheus, asked, alert):
    """A condition may hold between two scrapes: alerts that do so wait for a minute or more until they fire."""

    def is_quiet():
        return prometheus.query(alert["expr"]) == [] or alert["alert"] in PERHAPS_FIRE

    eventually(is_quiet, ANSWER_SECONDS, f"no reason for {alert['alert']}")


def test_prometheus_evaluates_all_rules_without_an_error(prometheus, asked):
    groups = prometheus.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > len(ALERTS)
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}


@pytest.fixture(scope="module")
def reader(stack):
    """With the rights that docs/operations.md gives to Grafana."""
    page = (prometheus_part.CONFIGURATION.parents[2] / "docs" / "operations.md").read_text()
    statements = page.partition("```sql\n")[2].partition("```")[0]
    name = stack.rows("select current_database() as name")[0]["name"]
    documented = statements.replace("DATABASE tidemill", f"DATABASE {name}")
    stack.database.execute(documented.replace("grafana", "documented"))  # the stack has made a role of that name
    stack.database.execute("grant documented to current_user")
    with psycopg.connect(stack.connections.postgres_dsn, row_factory=dict_row, autocommit=True) as connection:
        connection.execute("set role documented")
        connection.execute("set default_transaction_read_only = on")
        yield connection
    stack.database.execute("delete from tidemill.members where role = 'documented'")
    stack.database.execute("drop owned by documented; drop role documented")
