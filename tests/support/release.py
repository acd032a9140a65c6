"""The samples of a release, which `make samples` writes and the tests of all later releases read."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import timedelta
from pathlib import Path

import msgspec
import psycopg
from packaging.version import Version

from connectors.batch import Record
from connectors.ledger import open_ledger
from connectors.migrate import migrate, migrations, release
from connectors.sink_metrics import SinkMetrics
from connectors.writer import Writer
from infra.postgres_installation import _wheel_programs
from observe.registry import Registry
from schemas.topics import SINK_TOPICS, STATUS
from tests.support.formats import Sample, whole_records
from tests.support.release_story import as_records, history_log
from tests.support.servers.postgres_node import running_postgres
from tests.support.simulated.log import START

RELEASED = Path(__file__).parents[1] / "released"
TOPIC_IDS = {topic: f"{topic}-id" for topic in SINK_TOPICS}
NEVER_FILLED = frozenset({"dag_changes"})
"""Tables whose rows do not outlive their transaction."""
_TIME = re.compile(r"(?<=')20\d\d-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?(?=\+00')")
_STORY_ENDS = (START + timedelta(days=7)).date().isoformat()


def write(folder: Path) -> None:
    """Writes the samples. The same code writes the same bytes: times of the database are replaced by one constant."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "migrations.sha256").write_text(manifest())
    _write_records(folder / "records.jsonl", whole_records())
    _write_records(folder / "history.jsonl", as_records(history_log()))
    with running_postgres() as server:
        dsn = server("postgres")
        migrate(dsn)
        fill(dsn)
        (folder / "database.sql").write_text(_TIME.sub(_without_clock, dumped(dsn)))


def _without_clock(found: re.Match[str]) -> str:
    return found[0] if found[0][:10] <= _STORY_ENDS else f"{START:%Y-%m-%d %H:%M:%S}"


def manifest() -> str:
    return "".join(f"{each.sha256}  {each.name}\n" for each in migrations())


def folders() -> list[Path]:
    """The folders of all releases, the oldest first."""
    return sorted((each for each in RELEASED.iterdir() if each.is_dir()), key=lambda each: Version(each.name))


def records_of(folder: Path, name: str) -> list[Sample]:
    return [msgspec.json.decode(line, type=Sample) for line in (folder / name).read_bytes().splitlines()]


def _write_records(path: Path, records: list[Sample]) -> None:
    path.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in records))


def fill(dsn: str) -> None:
    """Fills every table, with rows of users, the connector and the sink."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(Path(__file__).with_name("release.sql").read_bytes())
        sink(dsn, as_records(history_log()))
        counts = row_counts(connection)
    empty = {name for name, count in counts.items() if not count} - NEVER_FILLED
    assert not empty, f"release.sql or the story leaves these tables without a row: {sorted(empty)}"


def sink(dsn: str, records: list[Sample]) -> None:
    """Writes the records as one batch of the sink; offsets continue after the stored ones."""
    partitions = [(topic, 0) for topic in SINK_TOPICS]
    with open_ledger(dsn, TOPIC_IDS) as ledger:
        offsets = ledger.load_offsets(partitions)
        batch = []
        for each in records:
            if each.topic in SINK_TOPICS:
                batch.append(read_by_sink(each, offsets[each.topic, 0]))
                offsets[each.topic, 0] += 1
        Writer(STATUS, SinkMetrics(Registry())).write(ledger, batch, TOPIC_IDS)


def read_by_sink(kept: Sample, offset: int) -> Record:
    return Record(
        topic=kept.topic,
        partition=0,
        offset=offset,
        at=START + timedelta(seconds=offset),
        key=kept.key and kept.key.encode(),
        value=None if kept.value is None else kept.value.encode(),
        headers={name: value.encode() for name, value in kept.headers},
    )


def row_counts(connection: psycopg.Connection) -> dict[str, int]:
    """Table -> number of rows, over all its partitions."""
    names = connection.execute(
        "select relname from pg_class where relnamespace = 'tidemill'::regnamespace "
        "and relkind in ('r', 'p') and not relispartition order by relname"
    ).fetchall()
    return {name: connection.execute(f'select count(*) from tidemill."{name}"').fetchall()[0][0] for (name,) in names}


def dumped(dsn: str, *options: str) -> str:
    """A dump of the database as plain SQL, without psql commands."""
    dump = [
        _wheel_programs() / "bin" / "pg_dump",
        "--inserts",
        "--no-owner",
        "--no-privileges",
        "--no-comments",
        "--no-policies",  # `tidemill migrate` makes them, for roles of the server
        *options,
        dsn,
    ]
    lines = subprocess.run(
        dump, check=True, capture_output=True, text=True, env=os.environ | {"PGTZ": "UTC"}
    ).stdout.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("\\restrict", "\\unrestrict")))


if __name__ == "__main__":
    write(RELEASED / release())
