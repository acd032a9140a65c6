"""`tidemill dag …`: rows of `tidemill.dags` and `tidemill.dag_nodes`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from psycopg.sql import SQL, Composed, Identifier, Placeholder
from psycopg.types.json import Json

from connectors.objects import Objects
from schemas.settings import Connections
from schemas.words import TriggerRule
from tidemill import dag_runs, owners
from tidemill.complete import dag_and_run_names, dag_names
from tidemill.confined import may_use
from tidemill.dag_file import DAG_COLUMNS, Columns, DagFile, json_of, read_dag
from tidemill.dag_graph import dot
from tidemill.dag_lines import show_drawing
from tidemill.mark import mark
from tidemill.objects import store_command, store_executable, storing
from tidemill.output import show_fields, show_json, show_rows
from tidemill.queries import one, rows
from tidemill.target import DEFAULT_DATA, AsJson, Data, Row, connect, connections, reading

app = typer.Typer(
    no_args_is_help=True, help="Put, list, show, mark, pause, resume and delete DAGs, and list their runs."
)
app.command("runs")(dag_runs.runs)
app.command("mark")(mark)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The DAG's id.", autocompletion=dag_names)]
LIST_COLUMNS = ("dag_id", "schedule", "timezone", "paused", "nodes", "max_active_epochs", "version")
NODE_COLUMNS = ("node_id", "depends_on", "trigger_rule", "timeout", "max_attempts", "executable")
DRAWN_COLUMNS = ("trigger_rule", "timeout", "max_attempts", "may_use", "args", "executable")
KEPT = frozenset({"dag_id", "paused", "paused_note", "resumed_at"})
"""Columns that keep their values if the file does not name them; every other column gets its default."""


@app.command()
def put(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A .yaml or .toml file.")],
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Create a DAG, or change an existing one to match the file. Nodes that the file does not name are deleted."""
    target = connections(data)
    with storing(target), connect(target.postgres_dsn) as postgres:
        file = stored(target, path)
        with postgres.transaction():
            write(postgres, file)
        row = one(postgres, "dag", {"dag_id": file.dag["dag_id"]})
    version, nodes = row and row["version"], len(file.nodes)
    what = f"is version {version}, with {nodes} nodes"
    owners.DAG.say(file.dag["dag_id"], what, as_json=as_json, version=version, nodes=nodes)


@app.command("list")
def list_dags(
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
    tenant: Annotated[str | None, typer.Option(help="Only DAGs of this tenant.")] = None,
) -> None:
    """List all DAGs."""
    with reading(data) as postgres:
        show_rows(rows(postgres, "dags", {"tenant": tenant}), LIST_COLUMNS, as_json=as_json)


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME|RUN", help="The id of a DAG or of a DAG run.", autocompletion=dag_and_run_names),
    ],
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
    as_dot: Annotated[bool, typer.Option("--dot", help="Print the graph for Graphviz.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Show every node, however many there are.")] = False,
) -> None:
    """Draw a DAG, or one of its runs with states, durations and the critical path."""
    with reading(data) as postgres:
        if dag_runs.is_run(name):
            dag_runs.show_run(postgres, name, as_json=as_json, as_dot=as_dot, every=every)
            return
        dag = owners.DAG.found(postgres, name, one(postgres, "dag", {"dag_id": name}))
        nodes = rows(postgres, "dag_nodes", {"dag_id": name})
    if as_dot:
        typer.echo(dot(name, nodes))
    elif as_json:
        show_json(dag | {"nodes": nodes})
    else:
        show_fields(dag)
        if not show_drawing([_drawn(node) for node in nodes], DRAWN_COLUMNS, every=every):
            show_rows(nodes, NODE_COLUMNS, as_json=False)


@app.command()
def pause(
    name: Name,
    data: Data = DEFAULT_DATA,
    note: Annotated[str | None, typer.Option(help="The reason; `tidemill dag show` shows it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Pause a DAG: nothing new becomes due. Open DAG runs continue."""
    owners.pause(owners.DAG, data, name, note, as_json=as_json)


@app.command()
def resume(
    name: Name,
    data: Data = DEFAULT_DATA,
    catchup: Annotated[
        str | None, typer.Option(help="What to run of what was due during the pause: skip, latest or all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Resume a DAG from now, after a pause or after pause_on_failure stopped it."""
    owners.resume(owners.DAG, data, name, catchup, as_json=as_json)


@app.command()
def delete(name: Name, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Delete a DAG and its nodes. Its runs stay in the history."""
    owners.delete(owners.DAG, data, name, as_json=as_json)


def stored(target: Connections, path: Path) -> DagFile:
    """Read the file, and store its programs in S3; a program that several nodes use is stored once."""
    file = read_dag(path)
    program = cache(partial(_program, Objects(target), path.parent))
    nodes = {name: _with_program(columns, program) for name, columns in file.nodes.items()}
    return DagFile(dag=file.dag, nodes=nodes)


def write(postgres: psycopg.Connection[Row], file: DagFile) -> None:
    """Write the rows in the caller's transaction. The tables compare old and new: equal rows make no new version."""
    dag = file.dag
    postgres.execute(_upsert(dag), dag)
    postgres.execute("delete from tidemill.dag_nodes where dag_id = %(dag_id)s", dag)
    alike: dict[tuple[str, ...], list[Columns]] = {}
    for name, columns in file.nodes.items():
        row = {"dag_id": dag["dag_id"], "node_id": name} | columns
        alike.setdefault(tuple(sorted(row)), []).append(row)
    for (
        names,
        rows_alike,
    ) in alike.items():  # one insert for each set of columns, so that other columns get their defaults
        postgres.execute(_insert_all(names), [Json(rows_alike, dumps=json_of)])


def _drawn(node: Row) -> Row:
    """Leave out defaults. `started`: the nodes of a definition are drawn as filled dots."""
    rule = node["trigger_rule"]
    said = {
        "trigger_rule": None if rule == TriggerRule.ALL_SUCCESS.value else rule,
        "args": node["args"] or None,
        "may_use": may_use(node),
    }
    return node | said | {"started": True}


def _upsert(dag: Columns) -> Composed:
    changed = [name for name in DAG_COLUMNS if name not in KEPT or (name in dag and name != "dag_id")]
    assignments = SQL(", ").join(SQL("{0} = excluded.{0}").format(Identifier(name)) for name in changed)
    return SQL("insert into tidemill.dags ({}) values ({}) on conflict (dag_id) do update set {}").format(
        _listed(dag), SQL(", ").join(map(Placeholder, dag)), assignments
    )


def _insert_all(names: Iterable[str]) -> Composed:
    return SQL(
        "insert into tidemill.dag_nodes ({0}) select {0} from json_populate_recordset(null::tidemill.dag_nodes, %s)"
    ).format(_listed(names))


def _listed(names: Iterable[str]) -> Composed:
    return SQL(", ").join(map(Identifier, names))


def _with_program(columns: Columns, program: Callable[[str, str], Columns]) -> Columns:
    key = "command" if "command" in columns else "executable"
    others = {name: value for name, value in columns.items() if name != key}
    return others | program(key, str(columns[key]))


def _program(objects: Objects, folder: Path, key: str, said: str) -> Columns:
    """Store a program and return its columns. A relative path starts at the folder of the DAG's file."""
    if key == "command":
        return store_command(objects, said)
    return {"executable": said} if said.startswith("s3://") else store_executable(objects, folder / said)
