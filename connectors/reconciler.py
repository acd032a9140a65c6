"""Compares the definitions in Postgres with those that the streams hold, all the time, and heals what differs for long.

Each round compares two digests: three numbers (`schemas.digest`). If they differ for a while, it reads which jobs and
DAGs differ, waits until everything that Postgres had written by then has passed the connector and the owners, and
appends a new version of those that differ still (decision 52, protocol I11).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import msgspec
import psycopg
import structlog
from confluent_kafka import KafkaException

from connectors.captured import Position, cdc_ends, look_position, not_applied
from connectors.differences import Difference, find_differences, heal, still_differing
from connectors.healings import Healings
from connectors.held_definitions import HeldDefinitions
from connectors.owner_clocks import Seen, latest_clocks
from connectors.restores import note_restore
from connectors.sink_metrics import SinkMetrics
from connectors.statements import sql
from connectors.stopping import Stop
from connectors.topics import KafkaRefusedError
from observe.health import Health
from schemas.digest import DefinitionDigest
from schemas.errors import TidemillError
from schemas.settings import Connections

INTERVAL = timedelta(seconds=10)
STUCK = timedelta(minutes=10)
"""A round takes seconds, and reading a million definitions a minute: each of its calls has a timeout."""
CONNECT_SECONDS = 10
SESSION = "-c TimeZone=UTC -c statement_timeout=60s -c tidemill.sink=on"
EXAMINE_AFTER, HEAL_AFTER, LOUD_AFTER = 20.0, 60.0, 600.0
"""Seconds with different digests: until it reads which jobs differ, heals them, and reports that it cannot."""
LOOK_ANYWAY = 60.0
"""Ask Postgres for its digest this often, in seconds, even if no version was given and the streams hold the same."""
REST_FACTOR = 10
"""After an examination that found nothing, rest this many times its length: constant changes cost a tenth of a core."""
NAMED = 5
"""So many jobs and DAGs a sentence names."""

log = structlog.get_logger()


class Suspicion(msgspec.Struct, frozen=True, kw_only=True):
    """What differed at one moment. It is a difference if it is still there after all that was written then arrived."""

    differences: tuple[Difference, ...]
    held: HeldDefinitions
    position: Position
    cdc_ends: Mapping[int, int] | None = None
    """The ends of `cdc` after it had everything; None: it does not have everything yet."""


class Reconciler:
    """One sink of several heals a difference: the others then find a newer version than the one that they suspect."""

    def __init__(
        self,
        connections: Connections,
        slot_name: str,
        metrics: SinkMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock`: monotonic seconds."""
        self._connections, self._slot_name, self._metrics, self._clock = connections, slot_name, metrics, clock
        self._since: float | None = None
        """When the digests began to differ."""
        self._suspicion: Suspicion | None = None
        self._examine_at = 0.0
        self._equal: tuple[DefinitionDigest, int] | None = None
        """The digest of the streams and the last version given, when both sides were last equal."""
        self._compared_at = 0.0
        self._healings = Healings()
        self._refusal: str | None = None

    def round(self) -> None:
        """Read the streams first: what they hold was in Postgres before.

        Raises psycopg's errors, `KafkaException`, `KafkaRefusedError` and `TidemillError`; the next round asks again.
        """
        clocks = latest_clocks(self._connections)
        with psycopg.connect(
            self._connections.postgres_dsn,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            options=SESSION,
            application_name="tidemill-sink",
        ) as postgres:
            if note_restore(postgres, clocks):
                log.error("database_restored", remedy="tidemill restored")
            streams = digest_of_streams(self._connections.partitions, clocks)
            if streams is None:
                return
            if self._is_equal(postgres, streams):
                self._healings.clear()
                self._start_anew()
            else:
                self._differs(postgres, clocks)

    def _is_equal(self, postgres: psycopg.Connection, streams: DefinitionDigest) -> bool:
        row = postgres.execute(sql("versions_given")).fetchone()
        assert row is not None, "the sequence has a row"
        seen, now = (streams, row[0]), self._clock()
        if seen == self._equal and now - self._compared_at < LOOK_ANYWAY:
            return True
        self._compared_at = now
        count, total, mixed = postgres.execute(sql("definition_digest")).fetchone() or (0, 0, 0)
        is_equal = streams == DefinitionDigest(count=count, total=total, mixed=mixed)
        self._equal = seen if is_equal else None
        if is_equal:
            self._note(postgres, 0)
        return is_equal

    def _differs(self, postgres: psycopg.Connection, clocks: Mapping[int, Seen]) -> None:
        now = self._clock()
        if self._since is None:
            self._since = now
        if self._suspicion is None:
            if now - self._since >= EXAMINE_AFTER and now >= self._examine_at:
                self._examine(postgres)
            return
        reason = self._reason_to_wait(postgres, clocks, self._suspicion)
        if reason is None:
            self._settle(postgres, self._suspicion)
        elif now - self._since >= LOUD_AFTER:
            self._refuse(postgres, self._suspicion.differences, reason)

    def _examine(self, postgres: psycopg.Connection) -> None:
        """Read which jobs and DAGs differ. The WAL is asked last: it has all that was read."""
        began, held = self._clock(), HeldDefinitions()
        held.read(self._connections)
        found = find_differences(postgres, held)
        held.keep_only({each.owner for each in found})
        position = look_position(postgres, self._slot_name)
        self._examine_at = self._clock() + REST_FACTOR * (self._clock() - began)
        if found:
            self._suspicion = Suspicion(differences=tuple(found), held=held, position=position)
        else:
            self._start_anew()

    def _reason_to_wait(
        self, postgres: psycopg.Connection, clocks: Mapping[int, Seen], suspicion: Suspicion
    ) -> str | None:
        """Why the differences may still be on their way; None: what differs now has not arrived and never will."""
        assert self._since is not None
        if suspicion.cdc_ends is None:
            before, position = suspicion.position, look_position(postgres, self._slot_name)
            if not position.follows(before, suspicion.position.written):
                later = msgspec.structs.replace(position, written=suspicion.position.written)
                self._suspicion = msgspec.structs.replace(suspicion, position=later)
                return (
                    f"the connector has not confirmed what Postgres wrote to the slot {self._slot_name}; see the "
                    "connector; if the slot has another name, set TIDEMILL_SLOT_NAME for the sinks too"
                )
            suspicion = msgspec.structs.replace(suspicion, cdc_ends=cdc_ends(self._connections))
            self._suspicion = suspicion
            return "its records were read just now"
        if self._clock() - self._since < HEAL_AFTER:
            return "they differ for less than a minute"
        assert suspicion.cdc_ends is not None
        return not_applied(self._connections, clocks, suspicion.cdc_ends)

    def _settle(self, postgres: psycopg.Connection, suspicion: Suspicion) -> None:
        """Heal what differs still, unless the streams are ahead of Postgres."""
        suspicion.held.read(self._connections)
        found = still_differing(suspicion.differences, suspicion.held)
        ahead = [each for each in found if each.is_of_restored_database]
        row = postgres.execute(sql("versions_given")).fetchone()
        if row is not None and row[1]:
            self._note(postgres, len(found), "the database was restored from a backup; run `tidemill restored`")
        elif ahead:
            self._refuse(postgres, ahead, "the database was probably restored from a backup; see docs/backup.md")
        else:
            self._heal(postgres, found)
            self._since = None
        self._suspicion = None

    def _heal(self, postgres: psycopg.Connection, found: Sequence[Difference]) -> None:
        now = self._clock()
        due = self._healings.due(found, now)
        if found and not due:
            self._refuse(postgres, found, "the streams have refused each new version; see `tidemill problems`")
            return
        self._healings.note(due, now)
        written, deleted = heal(postgres, due)
        versions = written + deleted
        self._note(postgres, len(found))
        if not versions:
            return
        reason = (
            f"{_named(due)}: the streams had missed the newest version for more than a minute, so {len(written)} "
            f"versions and {len(deleted)} deletions were appended again; find out what lost them: the replication "
            "slot, the topic cdc or its retention"
        )
        values = {"healed": len(versions), "version": max(versions), "reason": reason}
        postgres.execute(sql("note_healing"), values)
        self._metrics.healed(written=len(written), deleted=len(deleted))
        log.warning("definitions_healed", written=len(written), deleted=len(deleted), owners=_named(due))

    def _refuse(self, postgres: psycopg.Connection, found: Sequence[Difference], why: str) -> None:
        reason = f"{_named(found)}: Postgres and the streams have different versions, and no sink heals them: {why}"
        self._note(postgres, len(found), reason, max(max(each.held or 0, each.wanted or 0) for each in found))
        if reason != self._refusal:
            log.error("definitions_differ", reason=reason)
        self._refusal = reason

    def _note(
        self, postgres: psycopg.Connection, differing: int, refusal: str | None = None, number: int | None = None
    ) -> None:
        """`number`: of the problem that says the refusal."""
        self._metrics.differing(differing)
        postgres.execute(sql("note_comparison"), {"differing": differing, "refusal": refusal, "number": number})

    def _start_anew(self) -> None:
        self._since = self._suspicion = None
        self._refusal = None


def digest_of_streams(partitions: int, clocks: Mapping[int, Seen]) -> DefinitionDigest | None:
    """None: some owner has not said yet what it holds, or is of an older release."""
    whole = DefinitionDigest()
    for number in range(partitions):
        digest = clocks[number].clock.digest if number in clocks else None
        if digest is None:
            return None
        whole = whole.joined(digest)
    return whole


def watch_definitions(reconciler: Reconciler, stop: Stop, health: Health) -> None:
    """Compare regularly until `stop` is requested, also while Postgres or Kafka is unreachable."""
    logged = ""
    loop = health.loop("definitions", STUCK)
    while not stop.requested:
        loop.turn()
        try:
            reconciler.round()
            reason = ""
        except (psycopg.Error, KafkaException, KafkaRefusedError, TidemillError) as error:
            reason = str(error).strip()
        if reason and reason != logged:
            log.warning("definitions_not_compared", reason=reason)
        logged = reason
        stop.wait(INTERVAL)


def _named(found: Sequence[Difference]) -> str:
    names = ", ".join(sorted(f"{each.kind.value} {each.owner!r}" for each in found[:NAMED]))
    return names + (f" and {len(found) - NAMED} more" if len(found) > NAMED else "")
