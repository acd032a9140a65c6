"""Each change of a job, DAG, node or member and each request leaves one row that says who did it, and by which door."""

from __future__ import annotations

import getpass

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.support.dag_rows import put, settle
from tidemill.cli import run

JOB = "insert into tidemill.jobs (job_id, tenant, executable) values ('j', 'a', 's3://bucket/x')"


@pytest.fixture
def rows(tables):
    """A function that returns all rows of the log, in their order."""

    def call(columns="*"):
        query = f"select {columns} from tidemill.audit_log order by at, number"
        with tables.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query).fetchall()

    return call


def test_a_job_leaves_what_it_was_and_what_it_became(tables, rows):
    tables.execute(JOB)
    tables.execute("update tidemill.jobs set paused = true, paused_note = 'why' where job_id = 'j'")
    tables.execute("update tidemill.jobs set paused = true where job_id = 'j'")
    tables.execute("delete from tidemill.jobs where job_id = 'j'")
    made, paused, gone = rows()
    assert (made["action"], made["kind"], made["owner"], made["tenant"]) == ("insert", "job", "j", "a")
    assert (made["before"], made["after"]["executable"]) == (None, "s3://bucket/x")
    assert (paused["before"]["paused"], paused["after"]["paused"]) == (False, True)
    assert paused["after"].keys() == {"paused", "paused_note", "version"}
    assert (gone["action"], gone["before"]["paused_note"], gone["after"]) == ("delete", "why", None)


def test_a_dag_leaves_a_row_for_itself_and_one_for_each_node(tables, rows):
    put(tables, {"a": [], "b": ["a"]}, tenant="a")
    settle(tables)
    tables.execute("update tidemill.dag_nodes set max_attempts = 3 where node_id = 'b'")
    settle(tables)
    tables.execute("delete from tidemill.dags where dag_id = 'd'")
    settle(tables)
    found = rows("action, kind, owner, node_id, tenant")
    assert [(each["action"], each["kind"], each["node_id"]) for each in found] == [
        ("insert", "dag", None),
        ("insert", "node", "a"),
        ("insert", "node", "b"),
        ("update", "node", "b"),
        ("delete", "dag", None),
        ("delete", "node", "a"),
        ("delete", "node", "b"),
    ]
    assert {(each["owner"], each["tenant"]) for each in found} == {("d", "a")}


def test_a_request_is_logged_once_and_its_payload_only_as_a_digest_if_it_is_long(tables, rows):
    tables.execute(JOB)
    for _ in range(2):
        tables.execute(
            "insert into tidemill.requests (request_id, job_id, payload) values ('r', 'j', %s) on conflict do nothing",
            ['"' + 3000 * "x" + '"'],
        )
    _, asked = rows()
    assert (asked["kind"], asked["request_id"], asked["owner"], asked["tenant"]) == ("request", "r", "j", "a")
    assert asked["after"]["payload"].keys() == {"bytes", "sha256"}


def test_a_member_is_logged(tables, rows):
    tables.execute("create role somebody")
    tables.execute("insert into tidemill.members (role, tenant) values ('somebody', 'a')")
    tables.execute("update tidemill.members set may = 'write' where role = 'somebody'")
    tables.execute("delete from tidemill.members where role = 'somebody'")
    found = [(each["action"], each["kind"], each["owner"], each["tenant"]) for each in rows()]
    assert found == [(action, "member", "somebody", "a") for action in ("insert", "update", "delete")]


@pytest.mark.parametrize(
    ("login", "role", "application", "door"),
    [
        ("somebody", None, "psql", "sql"),
        ("somebody", "tidemill_writer", "psql", "sql"),
        ("somebody", None, "tidemill", "cli"),
        ("tidemill_web", None, "tidemill", "web"),
        ("tidemill_api", "tidemill_writer", "", "api"),
    ],
)
def test_it_says_who_and_by_which_door(tables, rows, login, role, application, door):
    tables.execute("create role somebody in role tidemill_writer")
    tables.execute(
        "insert into tidemill.members (role, tenant, may) "
        "values ('somebody', 'a', 'write'), ('tidemill_writer', 'a', 'write')"
    )
    tables.execute(f"set local session authorization {login}")
    if role:
        tables.execute(f"set local role {role}")
    for name, value in {
        "application_name": application,
        "tidemill.tenants": "{a}",
        "tidemill.actor": "anna",
        "tidemill.correlation_id": "c-1",
    }.items():
        tables.execute("select set_config(%s, %s, true)", [name, value])
    tables.execute(JOB)
    tables.execute("reset session authorization")
    said = rows()[-1]
    assert (said["login"], said["role"], said["door"]) == (login, role or login, door)
    assert (said["actor"], said["correlation_id"]) == ("anna", "c-1")


def test_the_commands_say_who_did_it(tables_dsn, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("TIDEMILL_POSTGRES_DSN", tables_dsn)
    monkeypatch.chdir(tmp_path)
    with psycopg.connect(tables_dsn, autocommit=True) as connection:
        connection.execute(JOB)
        connection.execute("set tidemill.actor = 'anna'")
        connection.execute("insert into tidemill.requests (request_id, job_id) values ('r', 'j')")
    assert run(["changes", "j", "--who", "anna"]) == 0
    said = capsys.readouterr().out
    assert "insert request r for j" in said
    assert "anna (" in said
    assert "insert job j" not in said
    assert run(["job", "pause", "j"]) == 0
    capsys.readouterr()
    assert run(["changes", "--who", getpass.getuser()]) == 0
    assert "update job j" in capsys.readouterr().out
    assert run(["explain", "j#r"]) == 0
    said = capsys.readouterr().out
    assert "anna (" in said
    assert "asked for it, by sql, with request r" in said


@pytest.mark.parametrize("setting", ["numbering", "compiling", "keeping"])
def test_no_setting_hides_what_a_writer_does(tables, rows, setting):
    tables.execute("create role somebody in role tidemill_writer")
    tables.execute("insert into tidemill.members (role, tenant, may) values ('somebody', 'a', 'write')")
    before = len(rows())
    tables.execute("set local session authorization somebody")
    tables.execute(f"select set_config('tidemill.{setting}', 'on', true)")
    tables.execute(f"{JOB} returning set_config('tidemill.{setting}', 'on', true)")
    tables.execute(f"select set_config('tidemill.{setting}', 'off', true)")
    tables.execute("insert into tidemill.requests (request_id, job_id) values ('r', 'j')")
    tables.execute("reset session authorization")
    assert [each["kind"] for each in rows()[before:]] == ["job", "request"]


def test_a_reader_sees_the_rows_of_its_tenants_and_nobody_writes_any(tables):
    tables.execute("create role somebody in role tidemill_reader")
    tables.execute("insert into tidemill.members (role, tenant) values ('somebody', 'a')")
    tables.execute(JOB)
    tables.execute("insert into tidemill.jobs (job_id, tenant, executable) values ('k', 'b', 's3://bucket/x')")
    tables.execute("set local role somebody")
    assert tables.execute("select distinct tenant from tidemill.audit_log").fetchall() == [("a",)]
    for statement in ("delete from tidemill.audit_log", "update tidemill.audit_log set login = 'x'"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), tables.transaction():
            tables.execute(statement)
