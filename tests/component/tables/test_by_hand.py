"""Every table of the schema, and the result of manual statements against it."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from tests.support.read_model_rows import allow_writes

ANYTHING = "accepted"
HISTORY = "it is the history; tidemill.prune_definitions(older_than) removes"
ONCE = "an accepted request never changes; tidemill.prune_requests(older_than) removes"
READ_MODEL = "insert a row into tidemill.requests to run, cancel or mark"
DEFINED = {"delete": ANYTHING, "update": ANYTHING}
KEPT = {
    "jobs": DEFINED | {"truncate": "use delete from tidemill.jobs"},
    "dags": DEFINED | {"truncate": "use delete from tidemill.dags"},
    "dag_nodes": DEFINED | {"truncate": "a DAG has at least one node; use delete"},
    "requests": ONCE,
    "definitions": HISTORY,
    "runs": READ_MODEL,
    "stories": READ_MODEL,
    "problems": READ_MODEL,
    "owners": "only this table keeps the order of versions; tidemill.prune_definitions",
    "definitions_pruned": "tidemill.prune_definitions(older_than) records its progress here",
    "dag_changes": "write to tidemill.dags and tidemill.dag_nodes",
    "sink_offsets": "the sink keeps its offsets here",
    "weeks": "use tidemill.prune(older_than) to drop old weeks",
    "retention": "use tidemill.prune(older_than) to drop old weeks",
    "heartbeat": {
        "update": ANYTHING,  # the connector updates it, with any role
        "delete": "pruning needs its one row",
        "truncate": "pruning needs its one row",
    },
    "fences": {
        "update": ANYTHING,  # the fence function writes it
        "delete": "use tidemill.prune_fences(older_than)",
        "truncate": "use tidemill.prune_fences(older_than)",
    },
    "zones": "`tidemill migrate` of a newer version adds new names",
    "timeout_classes": "`tidemill cluster set timeout_classes=...` changes classes and topics",
    "deployment": "its name marks the objects of this deployment in the bucket",
    "restored": "run `tidemill restored`, which heals the database and deletes the row",
    "reconciliation": "the sinks write here how the streams compare with this database",
    "migrations": "`tidemill migrate` writes it",
    "roles": "`tidemill migrate` writes it, and gives these roles their rights",
    "audit_log": "nobody changes what was done",
    "members": DEFINED | {"truncate": ANYTHING},  # admins write it
}
TABLES = """
    select relname from pg_class
    where relnamespace = 'tidemill'::regnamespace and relkind in ('r', 'p') and not relispartition order by 1
"""
FIRST_COLUMN = """
    select attname from pg_attribute where attrelid = ('tidemill.' || %s)::regclass and attnum = 1
"""
STATEMENTS = {"delete": "delete from {}", "truncate": "truncate {}", "update": "update {} set {column} = {column}"}


@pytest.fixture
def used(tables):
    """Rows in the tables with row triggers, in a session without exceptions."""
    allow_writes(tables)
    tables.execute("""insert into tidemill.jobs (job_id, executable) values ('j', 's3://bucket/key')""")
    tables.execute("insert into tidemill.requests (request_id, job_id) values ('r', 'j')")
    tables.execute("select set_config('tidemill.sink', '', false)")
    return tables


def written_by_hand(tables, table, statement):
    (column,) = tables.execute(FIRST_COLUMN, [table]).fetchone()
    names = sql.Identifier("tidemill", table), sql.Identifier(column)
    tables.execute(sql.SQL(STATEMENTS[statement]).format(names[0], column=names[1]))


def test_every_table_is_in_the_list(tables):
    assert sorted(KEPT) == [name for (name,) in tables.execute(TABLES)]


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("table", KEPT)
def test_a_manual_change_of_an_internal_table_is_refused_with_a_remedy(used, table, statement):
    said = KEPT[table] if isinstance(KEPT[table], str) else KEPT[table][statement]
    if said == ANYTHING:
        written_by_hand(used, table, statement)
        return
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        written_by_hand(used, table, statement)
    assert str(refused.value).startswith(f"{statement.upper()} of tidemill.{table} is refused: ")
    assert said in str(refused.value)


def test_a_timeout_class_without_a_topic_cannot_be_added_by_hand(tables):
    with pytest.raises(psycopg.errors.CheckViolation, match="`tidemill cluster set timeout_classes="):
        tables.execute("insert into tidemill.timeout_classes values ('6h')")
