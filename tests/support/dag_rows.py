"""Writes DAG rows as users do, and reads the definition that a commit stores, in a transaction that is rolled back."""

from __future__ import annotations

import json

from schemas.codec import decode
from schemas.dag import DagSpec, check_order

EXECUTABLE = "s3://tidemill/x"


def put(connection, nodes, dag_id="d", **columns):
    """Inserts a DAG; `nodes` maps each node id to its dependencies."""
    columns = {"dag_id": dag_id} | columns
    names = ", ".join(columns)
    connection.execute(
        f"insert into tidemill.dags ({names}) values ({', '.join(['%s'] * len(columns))})", list(columns.values())
    )
    put_nodes(connection, nodes, dag_id)


def put_nodes(connection, nodes, dag_id="d"):
    rows = [{"node_id": name, "depends_on": needed} for name, needed in nodes.items()]
    connection.execute(
        """insert into tidemill.dag_nodes (dag_id, node_id, depends_on, executable)
           select %s, node_id, depends_on, %s from jsonb_to_recordset(%s) as node (node_id text, depends_on text[])""",
        (dag_id, EXECUTABLE, json.dumps(rows)),
    )


def settle(connection):
    """Runs the deferred constraint triggers, as a commit does, and keeps the transaction open."""
    connection.execute("set constraints all immediate")
    connection.execute("set constraints all deferred")


def spec(connection, owner="d"):
    query = "select spec::text from tidemill.definitions where owner = %s order by version desc limit 1"
    dag = decode(connection.execute(query, (owner,)).fetchone()[0].encode(), DagSpec)
    check_order(dag)
    return dag
