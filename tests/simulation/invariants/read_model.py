"""The tables equal a replay of all statuses, whatever sinks died, slept or came back (protocol S1)."""

from __future__ import annotations

from typing import Any

from connectors.batch import collect
from connectors.ledger import Ledger
from connectors.record import Record
from schemas.topics import STATUS
from tests.simulation.history import History
from tests.simulation.things.postgres import Postgres, Row


def check(history: History) -> list[str]:
    replayed, tables = _replay(history), history.deployment.sinks.postgres
    problems = [
        f"the row of {run_id} is {_brief(tables.runs.get(run_id))}, a replay gives {_brief(row)}"
        for run_id, row in replayed.runs.items()
        if tables.runs.get(run_id) != row
    ]
    problems += [f"{run_id} has a row and no status" for run_id in tables.runs.keys() - replayed.runs.keys()]
    return problems + [
        f"the story of {run_id} differs from a replay: {_story(tables.stories.get(run_id))} is not {_story(row)}"
        for run_id, row in replayed.stories.items()
        if _last_life(history, run_id, tables.stories.get(run_id)) != _last_life(history, run_id, row)
    ]


def _replay(history: History) -> Postgres:
    """All statuses in the order of their commits, in one batch for each partition."""
    postgres = Postgres()
    ids = {STATUS: "x"}
    connection: Any = postgres.connect()
    ledger = Ledger(connection, ids)
    ledger.load_offsets([(STATUS, number) for number in range(history.deployment.partitions)])
    for number in range(history.deployment.partitions):
        records = [
            Record(topic=STATUS, partition=number, offset=offset, at=history.end, key=b"", value=value)
            for offset, value in enumerate(_values(history, number))
        ]
        if records:
            ledger.write(collect(records, STATUS, ids))
    return postgres


def _values(history: History, partition: int) -> list[bytes]:
    return [
        record.value
        for commit in history.deployment.witness.commits
        if commit.partition == partition
        for record in commit.transaction.records
        if record.topic == STATUS and record.value is not None
    ]


def _last_life(history: History, run_id: str, story: Row | None) -> tuple[object, object] | None:
    """What belongs to the last life of the run: compaction may have removed an earlier one before a sink read it."""
    if story is None:
        return None
    first = history.last[run_id].transitions[0].version
    return (
        [each for each in story["transitions"] if each["version"] >= first],
        [each for each in story["attempts"] if each["token"] >= first],
    )


def _brief(row: Row | None) -> str:
    return "missing" if row is None else f"{row['state']} (version {row['version']})"


def _story(row: Row | None) -> str:
    return "missing" if row is None else f"{len(row['transitions'])} transitions, {len(row['attempts'])} attempts"
