"""Deletes history, logs and other objects after their times to live: one of the sinks does it once an hour."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from functools import cached_property
from itertools import chain, islice
from typing import Any

import msgspec
import psycopg
import structlog

from connectors.archive import archive_week
from connectors.backoff import Backoff
from connectors.batch import Row, to_json
from connectors.objects import Objects
from connectors.settings import Archive, RetentionSettings
from connectors.statements import sql
from connectors.stopping import Stop
from observe.health import Health
from schemas.checkpoints import CHECKPOINTS, checkpoint_of
from schemas.errors import TidemillError
from schemas.ids import RunId
from schemas.log_chunks import log_prefix
from schemas.programs import DEPLOYMENTS, PROGRAMS, PROGRAMS_LOCK, is_program
from schemas.result import RESULTS, run_of_result
from schemas.run_names import Shortened
from schemas.settings import Connections

LOCK_KEY = 0x71DE_0222
"""The advisory lock: only one sink at a time runs a round."""
CONNECT_SECONDS = 10
SESSION = "-c TimeZone=UTC -c statement_timeout=600s -c tidemill.sink=on"
LOGS_AT_ONCE = 200
MOST_STUCK = 1000
"""If S3 does not delete the logs of more runs than this, the round stops asking: S3 probably deletes nothing."""
OBJECTS_AT_ONCE = 1000
STUCK = timedelta(hours=1)
"""The longest time between two steps of a round; the longest step writes the archive of one week."""
_FIRST_WAIT = timedelta(seconds=10)

log = structlog.get_logger()


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of what one round deleted, and the problems."""

    requests: int
    definitions: int
    fences: int
    logs: int
    checkpoints: int
    results: int
    programs: int
    weeks: list[str]
    left: list[str]
    """A sentence for each expired week that was not dropped, and for objects that S3 does not delete."""


def apply_ttls(connections: Connections, settings: RetentionSettings, stop: Stop, health: Health) -> None:
    """Run rounds until `stop` is requested, also while Postgres or S3 is unreachable."""
    backoff = Backoff(first=_FIRST_WAIT, longest=max(_FIRST_WAIT, settings.retention_interval))
    while not stop.requested:
        loop = health.loop("retention", STUCK)
        try:
            prune(connections, settings, stop, loop.turn)
            backoff = backoff.succeeded()
        except (psycopg.Error, TidemillError) as error:
            backoff = backoff.failed()
            log.warning("retention_interrupted", reason=_sentence(error))
        health.end(loop)
        stop.wait(backoff.delay or settings.retention_interval)


def prune(
    connections: Connections, settings: RetentionSettings, stop: Stop, turn: Callable[[], None] = lambda: None
) -> Pruned | None:
    """Run one round; None if another sink runs one. An error is raised, and stored in `tidemill.retention`.

    It calls `turn` at each step.
    """
    with _connect(connections.postgres_dsn) as postgres:
        if not _try_lock(postgres):
            return None
        postgres.execute(sql("retention_began"), {"interval": settings.retention_interval})
        try:
            done = Round(connections, settings, postgres, turn).run(stop)
        except (psycopg.Error, TidemillError) as error:
            if not postgres.closed:
                postgres.execute(sql("retention_ended"), {"failure": _sentence(error)})
            raise
        postgres.execute(sql("retention_ended"), {"failure": "; ".join(done.left) or None})
    if any(msgspec.structs.astuple(done)):
        log.info("pruned", **msgspec.structs.asdict(done))
    return done


class Round:
    """Deletes first what needs only Postgres; deletes logs before the rows that contain their location."""

    def __init__(
        self,
        connections: Connections,
        settings: RetentionSettings,
        postgres: psycopg.Connection,
        turn: Callable[[], None],
    ) -> None:
        self._connections = connections
        self._settings = settings
        self._postgres = postgres
        self._turn = turn
        self._kept: dict[str, str] = {}
        """Objects that S3 did not delete, with S3's reasons. The next round tries again."""
        self._left: list[str] = []

    def run(self, stop: Stop) -> Pruned:
        self._postgres.execute(sql("make_weeks_ahead"))
        ttls = self._settings.effective()
        requests = self._value("prune_requests", {"older_than": ttls.requests})
        definitions = self._value("prune_definitions", {"older_than": ttls.failed_history})
        fences = self._value("prune_fences", {"older_than": ttls.failed_history})
        logs = sum(self._delete_logs({"log_ttl": ttls.logs, "failed_log_ttl": ttls.failed_logs}, stop))
        limits = {"history_ttl": ttls.history, "failed_history_ttl": ttls.failed_history}
        weeks: list[str] = []
        for week, keep_failures, mark, reason in self._postgres.execute(sql("weeks_to_prune"), limits).fetchall():
            if stop.requested:
                break
            refusal = reason or self._prune_week(week, mark, keep_failures=keep_failures)
            weeks += [] if refusal else [str(week)]
            self._left += [refusal] if refusal else []
        checkpoints = sum(self._delete_checkpoints(stop))
        results = sum(self._delete_results(ttls.history, stop))
        programs = sum(self._delete_programs(stop))
        return Pruned(
            requests=requests,
            definitions=definitions,
            fences=fences,
            logs=logs,
            checkpoints=checkpoints,
            results=results,
            programs=programs,
            weeks=weeks,
            left=self._left + self._problem_of_kept(),
        )

    def _prune_week(self, week: date, mark: int, *, keep_failures: bool) -> str | None:
        """Archive and drop a week; returns None, or why it was not dropped: it has changed since `mark`."""
        if self._settings.archive is Archive.JSONL:
            prefix, turn = self._settings.archive_prefix, self._turn
            archive_week(self._postgres, self._store, prefix, week, keep_failures=keep_failures, turn=turn)
        refusal: str | None = self._value("prune_week", {"week": week, "keep_failures": keep_failures, "mark": mark})
        return refusal

    def _delete_logs(self, limits: dict[str, Any], stop: Stop) -> Iterator[int]:
        """Delete objects before their rows: a second deletion is no error, but an object without a row stays forever.

        The prefix of a log follows from its run and attempt. The URI in an event is not trusted for a deletion.
        """
        stuck: list[str] = []
        while not stop.requested:
            values = {**limits, "stuck": stuck, "most": LOGS_AT_ONCE}
            found = self._postgres.execute(sql("logs_to_delete"), values).fetchall()
            if not found or len(stuck) > MOST_STUCK:
                return
            logs = {run_id: [self._log(run_id, each) for each in set(attempts)] for run_id, _, attempts, _ in found}
            kept = self._delete(uri for log in chain.from_iterable(logs.values()) for uri in self._store.below(log))
            stuck += [run_id for run_id, those in logs.items() if any(uri.startswith(tuple(those)) for uri in kept)]
            deleted = [each for each in found if each[0] not in stuck]
            gone = [{"run_id": run_id, "filed_on": day, "tokens": tokens} for run_id, day, _, tokens in deleted]
            self._postgres.execute(sql("note_logs_deleted"), {"rows": to_json(gone)})
            yield sum(len(tokens) for *_, tokens in deleted)

    def _delete_checkpoints(self, stop: Stop) -> Iterator[int]:
        """Delete the checkpoints of ended runs. Only S3 lists all checkpoints."""
        named = ((uri, checkpoint_of(uri)) for uri in self._store.below(self._all(CHECKPOINTS)))
        rows = ({"uri": uri, "run_id": self._run_id(found[0]), "token": found[1]} for uri, found in named if found)
        return self._delete_objects("checkpoints_to_delete", rows, {}, stop)

    def _delete_results(self, history_ttl: timedelta, stop: Stop) -> Iterator[int]:
        """Delete the results of runs without rows, and the results of attempts that the owner had given up."""
        found = self._store.dated(self._all(RESULTS))
        rows = (
            {"uri": uri, "run_id": self._run_id(run_of_result(uri)), "stored_at": stored_at} for uri, stored_at in found
        )
        return self._delete_objects("results_to_delete", rows, {"history_ttl": history_ttl}, stop)

    def _delete_programs(self, stop: Stop) -> Iterator[int]:
        """Delete the programs that no job, no node and no kept version names; open runs use only these.

        If that cannot be known, delete none.
        """
        found = chain.from_iterable(self._store.dated(self._all(folder)) for folder in PROGRAMS)
        rows = ({"uri": uri, "stored_at": stored_at} for uri, stored_at in found if is_program(uri))
        while page := list(islice(rows, OBJECTS_AT_ONCE)):
            reason = self._value("why_keep_programs", {}) or self._other_deployment
            if reason is not None:
                self._left.append(f"no program is deleted: {reason}")
                return
            with self._postgres.transaction():
                if not self._value("lock_programs", {"key": PROGRAMS_LOCK}):
                    return  # a command is storing a program now
                values = {"program_ttl": self._settings.program_ttl}
                yield from self._delete_objects("programs_to_delete", iter(page), values, stop)

    @cached_property
    def _other_deployment(self) -> str | None:
        """Why a second deployment may use this bucket: the key of a program does not name its deployment."""
        ours = self._store.put(f"{DEPLOYMENTS}/{self._value('deployment', {})}.{self._connections.topic_prefix}", b"")
        others = [each for each in self._store.below(self._all(DEPLOYMENTS)) if each != ours]
        return f"another deployment has marked the bucket; if it is gone, delete {others[0]}" if others else None

    def _delete_objects(
        self, which: str, all_of_them: Iterator[Row], values: dict[str, Any], stop: Stop
    ) -> Iterator[int]:
        """Delete the objects that the statement returns."""
        while not stop.requested and (rows := list(islice(all_of_them, OBJECTS_AT_ONCE))):
            self._turn()
            gone = [uri for (uri,) in self._postgres.execute(sql(which), {**values, "rows": to_json(rows)}).fetchall()]
            yield len(gone) - len(self._delete(gone))

    def _delete(self, uris: Iterable[str]) -> dict[str, str]:
        """Returns the objects that S3 did not delete, with the reasons."""
        self._turn()
        kept = self._store.delete(uris)
        self._kept |= kept
        return kept

    def _problem_of_kept(self) -> list[str]:
        if not self._kept:
            return []
        uri, reason = next(iter(self._kept.items()))
        others = f", nor {len(self._kept) - 1} others" if len(self._kept) > 1 else ""
        return [f"S3 does not delete {uri}{others}: {reason}"]

    def _run_id(self, named: RunId | Shortened | None) -> str | None:
        """The id; of a shortened one without a row, its name, which no row has."""
        if not isinstance(named, Shortened):
            return named
        found = self._postgres.execute(sql("run_of_shortened"), msgspec.structs.asdict(named)).fetchone()
        return found[0] if found else str(named)

    def _log(self, run_id: str, attempt: int) -> str:
        return self._all(log_prefix(RunId(run_id), attempt))

    def _all(self, prefix: str) -> str:
        return f"s3://{self._connections.s3_bucket}/{prefix}"

    def _value(self, statement: str, values: dict[str, Any]) -> Any:
        self._turn()
        row = self._postgres.execute(sql(statement), values).fetchone()
        assert row is not None, "the statement returns a row"
        return row[0]

    @cached_property
    def _store(self) -> Objects:
        """Made when the round first needs it."""
        return Objects(self._connections)


def _connect(dsn: str) -> psycopg.Connection:
    return psycopg.connect(
        dsn, autocommit=True, connect_timeout=CONNECT_SECONDS, options=SESSION, application_name="tidemill-retention"
    )


def _try_lock(postgres: psycopg.Connection) -> bool:
    """Whether this session gets the lock; it releases the lock when it ends."""
    row = postgres.execute("select pg_try_advisory_lock(%s)", (LOCK_KEY,)).fetchone()
    assert row is not None, "the statement returns a row"
    return bool(row[0])


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())
