"""The rights of `tidemill_client` in docs/cluster.md suffice for the web page and the monitor, and each is used."""

from __future__ import annotations

import re
from itertools import product
from urllib.parse import quote

import psycopg
import pytest

from tests.component.web.test_dag_pages import FAILED, SUCCEEDED, dag_run
from tests.support.dag_rows import put
from tests.support.operator.document_blocks import blocks
from tests.support.web_site import running_site
from tidemill.queries import text
from tidemill.target import connect
from tidemill.web.routes import PAGES

ROLE = "tidemill_client"
(GRANTS,) = (each.text for each in blocks("cluster.md", {}) if each.target == "owner")
WRITES = re.compile(rf"GRANT ((?:INSERT|UPDATE|DELETE|USAGE|, )+) ON (.*) TO {ROLE};")
RIGHTS = [
    f"{privilege} ON {table}"
    for privileges, tables in WRITES.findall(GRANTS)
    for privilege, table in product(privileges.split(", "), tables.split(", "))
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
    """The owner of the tables, after the step of docs/cluster.md; there are a job and a DAG with a run each."""
    database.job("j")
    database.run("j#r")
    database.attempt("j#r", output="said")
    database.run("j#open", "running")
    with database.connection.transaction():
        put(database.connection, {"extract": [], "clean": ["extract"]}, schedule="@daily")
    dag_run(database, extract=SUCCEEDED, clean=FAILED)
    password = psycopg.conninfo.conninfo_to_dict(tables_dsn)["password"]
    database.connection.execute(f"create role {ROLE} login password '{password}'")
    try:
        database.connection.execute(GRANTS)
        yield database.connection
    finally:
        database.connection.execute(f"drop owned by {ROLE} cascade")
        database.connection.execute(f"drop role {ROLE}")


@pytest.fixture
def client(target, owner):
    return target.model_copy(update={"postgres_dsn": psycopg.conninfo.make_conninfo(target.postgres_dsn, user=ROLE)})


def refused(client):
    """What the web page and the monitor cannot do."""
    with running_site(client) as site:
        edited = site.get(f"{JOB}/edit").fields() | {"max_attempts": "3"}
        asked = [(path, site.post(path, fields)) for path, fields in ((f"{JOB}/edit", edited), *POSTS)]
        pages = (each.path for each in PAGES if each.method == "GET")
        named = (each.format(job_id="j", dag_id="d", run_id=quote("j#r", safe="")) for each in pages)
        asked += [(path, site.get(f"{path}?from=3d&max_active=2")) for path in named if not path.startswith("/bulk")]
    found = [f"{path}: {answer.status} {answer.text}" for path, answer in asked if answer.status not in {200, 303}]
    try:
        with connect(client.postgres_dsn) as postgres, postgres.transaction():
            postgres.execute(text("doctor_job"), {"job_id": "canary", "executable": "s3://bucket/key"})
            postgres.execute(text("doctor_request"), {"job_id": "canary", "request_id": "r"})
    except psycopg.errors.InsufficientPrivilege as error:
        found.append(str(error))
    return [" ".join(re.sub("<[^>]*>", " ", each).split())[-250:] for each in found]


def test_the_rights_suffice(client):
    found = refused(client)
    assert found == [], "\n".join(found)


@pytest.mark.parametrize("right", RIGHTS)
def test_each_right_is_used(right, owner, client):
    owner.execute(f"revoke {right} from {ROLE}")
    assert refused(client)


def test_the_read_model_and_the_tables_themselves_are_not_theirs_to_change(client):
    with connect(client.postgres_dsn) as postgres:
        for statement in ("delete from tidemill.runs", "drop table tidemill.jobs", "delete from tidemill.definitions"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                postgres.execute(statement)


def test_a_table_of_a_later_release_may_be_read(owner, client):
    owner.execute("create table tidemill.later (id int)")
    with connect(client.postgres_dsn) as postgres:
        postgres.execute("select from tidemill.later")
