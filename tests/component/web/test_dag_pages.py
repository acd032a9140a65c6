"""The pages of DAGs: the grid, the graph and the nodes of a run, and the rows that the buttons write."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connectors.batch import run_rows, to_json
from connectors.statements import sql
from schemas.ids import RunId
from schemas.status import RunStatus
from schemas.words import RunKind, RunState
from tests.support.dag_rows import put
from tests.support.read_model_rows import allow_writes
from tidemill.target import wall_clock

AT = wall_clock().replace(microsecond=0) - timedelta(hours=1)
SUCCEEDED, FAILED = RunState.SUCCEEDED, RunState.FAILED
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def dag(database):
    """The DAG `d` with three nodes in a row."""
    with database.connection.transaction():
        put(database.connection, {"extract": [], "clean": ["extract"], "load": ["clean"]}, schedule="@daily")


def dag_run(database, run_id="d#r", state=FAILED, **nodes):
    """A DAG run whose nodes ran one after the other."""

    def status(own, kind, state, begin, **more):
        times = {"queued_at": begin, "started_at": begin, "finished_at": begin + timedelta(seconds=10)}
        return RunStatus(
            run_id=RunId(own), job_id="d", dag_id="d", tenant="default", kind=kind, nominal_time=AT,
            scheduled_time=AT, state=state, version=1, attempt=1, **(times | more),
        )  # fmt: skip

    counts = {each: list(nodes.values()).count(each) for each in nodes.values()}
    found = [status(run_id, RunKind.DAG, state, AT, nodes=counts, finished_at=AT + timedelta(seconds=30))]
    for number, (name, each) in enumerate(nodes.items()):
        found.append(
            status(
                f"{run_id}/{name}", RunKind.NODE, each, AT + timedelta(seconds=10 * number), node_id=name, reason="x"
            )
        )
    allow_writes(database.connection, [AT.date()])
    rows = to_json(run_rows(found, {each.run_id: each.filed for each in found}))
    database.connection.execute(sql("write_runs"), {"rows": rows})


def test_the_list_shows_each_dag_with_its_last_run(site, database, dag):
    dag_run(database, extract=SUCCEEDED, clean=FAILED)
    page = site.get("/dags")
    assert page.status == 200
    for each in ('href="/dags/d"', "failed", "@daily"):
        assert each in page.text


def test_a_dag_shows_its_runs_as_a_grid_and_the_newest_as_graph_and_over_time(site, database, dag):
    dag_run(database, extract=SUCCEEDED, clean=FAILED)
    page = site.get("/dags/d")
    assert page.status == 200
    for each in (
        "3 nodes and 2 dependencies: 1 succeeded, 1 failed, 1 not kept",
        "extract: waited 0 s, ran 10 s, succeeded; clean: waited 0 s, ran 10 s, failed",
        "critical path",
        'href="/dags/d?run=d%23r"',
        'href="/runs/d%23r%2Fclean"',
    ):
        assert each in page.text, each


def test_a_dag_that_has_not_run_shows_its_graph(site, dag):
    page = site.get("/dags/d")
    assert "The DAG has not run yet. It runs at its next time." in page.text
    assert "3 nodes and 2 dependencies: 3 defined" in page.text


def test_a_run_of_the_dag_can_be_chosen_and_others_are_not_found(site, database, dag):
    dag_run(database, "d#old", state=SUCCEEDED, extract=SUCCEEDED)
    dag_run(database, extract=FAILED)
    assert "d#old" in site.get("/dags/d?run=d%23old").text
    assert site.get("/dags/d?run=d%23none").status == 404
    assert site.get("/dags/none").status == 404


def test_names_are_escaped(site, database):
    with database.connection.transaction():
        put(database.connection, {HOSTILE: []}, HOSTILE)
    for path in ("/dags", "/dags/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E"):
        page = site.get(path)
        assert page.status == 200
        assert "<img src=x" not in page.text
        assert "&lt;img src=x" in page.text


def test_a_node_is_marked_and_run_again_from_there(site, database, dag):
    dag_run(database, extract=SUCCEEDED, clean=FAILED)
    answer = site.post("/dags/d/mark", {"run": "d#r", "node": "clean", "as": "skipped", "note": "why"})
    assert (answer.status, answer.headers["location"]) == (303, "/dags/d?run=d%23r&asked=mark")
    site.post("/dags/d/rerun", {"run": "d#r", "node": "clean"})
    asked = database.all("select kind, run_id, mark_as, downstream from tidemill.requests order by kind")
    assert asked == [
        {"kind": "mark", "run_id": "d#r/clean", "mark_as": "skipped", "downstream": False},
        {"kind": "rerun", "run_id": "d#r/clean", "mark_as": None, "downstream": True},
    ]
    assert site.post("/dags/d/mark", {"run": "d#r"}).status == 422


def test_a_dag_is_run_paused_and_backfilled(site, database, dag):
    assert site.post("/dags/d/run", {}).status == 303
    site.post("/dags/d/pause", {})
    assert "2 of 2 occurrences would run" in site.get("/dags/d/backfill?from=2d").text
    assert database.all("select kind, dag_id from tidemill.requests") == [{"kind": "run", "dag_id": "d"}]
    assert database.all("select paused from tidemill.dags") == [{"paused": True}]


def test_a_dag_with_many_nodes_has_a_small_page_that_names_the_failed_one(site, database):
    many = [f"node{number}" for number in range(300)]
    with database.connection.transaction():
        put(database.connection, {name: many[:number] for number, name in enumerate(many)}, schedule="@daily")
    dag_run(database, **{each: FAILED if each == many[-1] else SUCCEEDED for each in many})
    for path in ("/dags/d", "/runs/d%23r"):
        page = site.get(path)
        assert "50 more nodes are not shown" in page.text
        assert "/runs/d%23r%2Fnode299" in page.text
    assert site.get("/dags/d").text.count("<option") < 50
