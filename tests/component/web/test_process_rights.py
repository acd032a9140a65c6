"""The rights of the web page's role and of the monitor's suffice for what they do, and each right to write is used."""

from __future__ import annotations

import re
from urllib.parse import quote

import psycopg
import pytest

from connectors.roles import DEFAULT_PREFIX, grants
from tests.component.web.test_dag_pages import FAILED, SUCCEEDED, dag_run
from tests.support.dag_rows import put
from tests.support.web_site import running_site
from tidemill.queries import text
from tidemill.target import connect
from tidemill.web.routes import PAGES

WEB, MONITOR = (f"{DEFAULT_PREFIX}{kind}" for kind in ("web", "monitor"))
RIGHTS = [
    pytest.param(
        f"{each.privilege} on {each.name}",
        f"{DEFAULT_PREFIX}{each.kind}",
        id=f"{each.kind}-{each.privilege}-{each.name}",
    )
    for each in sorted(grants())
    if each.kind == "monitor" and each.privilege != "SELECT"
]
JOB, DAG, RUN = "/jobs/j", "/dags/d", f"/runs/{quote('j#r', safe='')}"
POSTS = (
    (f"{JOB}/run", {"payload": ""}),
    (f"{JOB}/pause", {"note": "why"}),
    (f"{JOB}/resume", {"catchup": "latest"}),
    (f"{JOB}/backfill", {"from": "3d", "max_active": "2"}),
    (f"{DAG}/run", {}),
    (f"{DAG}/pause", {}),
    (f"{DAG}/resume", {"catchup": "all"}),
    (f"{DAG}/backfill", {"from": "3d", "max_active": "2"}),
    (f"{DAG}/mark", {"run": "d#r", "node": "clean", "as": "skipped"}),
    (f"{DAG}/rerun", {"run": "d#r", "node": "clean"}),
    (f"{RUN}/rerun", {"payload": ""}),
    ("/runs/j%23open/cancel", {"note": "why"}),
    ("/runs/j%23open/terminate", {"note": "why"}),
)


@pytest.fixture
def owner(tables_dsn, database):
    """A connection of the owner of the tables; there are a job and a DAG with a run each."""
    database.job("j")
    database.run("j#r")
    database.attempt("j#r", output="said")
    database.run("j#open", "running")
    with database.connection.transaction():
        put(database.connection, {"extract": [], "clean": ["extract"]}, schedule="@daily")
    dag_run(database, extract=SUCCEEDED, clean=FAILED)
    password = psycopg.conninfo.conninfo_to_dict(tables_dsn)["password"]
    for role in (WEB, MONITOR):
        database.connection.execute(f"alter role {role} password '{password}'")
    return database.connection


@pytest.fixture
def client(target, owner):
    """The settings of the web page."""
    return _as(target, WEB)


@pytest.fixture
def monitor(target, owner):
    return _as(target, MONITOR)


def _as(target, role):
    return target.model_copy(update={"postgres_dsn": psycopg.conninfo.make_conninfo(target.postgres_dsn, user=role)})


def refused(client, monitor):
    """What the web page and the monitor cannot do."""
    with running_site(client) as site:
        edited = site.get(f"{JOB}/edit").fields() | {"max_attempts": "3"}
        asked = [(path, site.post(path, fields)) for path, fields in ((f"{JOB}/edit", edited), *POSTS)]
        pages = (each.path for each in PAGES if each.method == "GET")
        named = (each.format(job_id="j", dag_id="d", run_id=quote("j#r", safe="")) for each in pages)
        asked += [(path, site.get(f"{path}?from=3d&max_active=2")) for path in named if not path.startswith("/bulk")]
    found = [f"{path}: {answer.status} {answer.text}" for path, answer in asked if answer.status not in {200, 303}]
    try:
        with connect(monitor.postgres_dsn) as postgres, postgres.transaction():
            postgres.execute(text("doctor_job"), {"job_id": "canary", "executable": "s3://bucket/first"})
            postgres.execute(text("doctor_job"), {"job_id": "canary", "executable": "s3://bucket/key"})
            postgres.execute(text("doctor_request"), {"job_id": "canary", "request_id": "r"})
    except psycopg.errors.InsufficientPrivilege as error:
        found.append(str(error))
    return [" ".join(re.sub("<[^>]*>", " ", each).split())[-250:] for each in found]


def test_the_rights_suffice(client, monitor):
    found = refused(client, monitor)
    assert found == [], "\n".join(found)


@pytest.mark.parametrize(("right", "role"), RIGHTS)
def test_each_right_is_used(right, role, owner, client, monitor):
    owner.execute(f"revoke {right} from {role}")
    assert refused(client, monitor)


@pytest.mark.parametrize("role", [WEB, MONITOR])
def test_the_read_model_and_the_tables_themselves_are_not_theirs_to_change(target, owner, role):
    with connect(_as(target, role).postgres_dsn) as postgres:
        for statement in ("delete from tidemill.runs", "drop table tidemill.jobs", "delete from tidemill.definitions"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                postgres.execute(statement)
