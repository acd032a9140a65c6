"""Checks of Postgres: the server, the role, the capture, the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from connectors.migrate import NEWER_REMEDY
from connectors.plan import LOST
from connectors.source import PUBLICATION
from schemas.times import rfc3339
from tidemill.doctor.facts import Postgres, Restored
from tidemill.doctor.finding import Finding, bad, listed, ok, warn

OLDEST_VERSION = 160_000
CAPTURED = ("tidemill.definitions", "tidemill.requests")
HEARTBEAT = "tidemill.heartbeat"
HEARTBEAT_LATE = timedelta(seconds=30)
"""Six times the interval of the connector's heartbeat."""
ROUND_LATE = timedelta(hours=1)
HEALING_LATE, COMPARISON_LATE = timedelta(minutes=5), timedelta(minutes=15)
"""A healing takes two minutes; a sink compares every minute, or while something differs reports it after ten."""
MEGABYTE = 1024 * 1024
MIGRATE = "run `tidemill migrate`"


def version(facts: Postgres) -> Iterator[Finding]:
    name = "postgres.version"
    said = f"Postgres is version {facts.version // 10_000}.{facts.version % 10_000}"
    if facts.version < OLDEST_VERSION:
        yield bad(name, f"{said}; the tables and the capture need 16 or later", "upgrade it, or use another server")
    else:
        yield ok(name, said)


def primary(facts: Postgres) -> Iterator[Finding]:
    name = "postgres.primary"
    if facts.is_replica:
        yield bad(
            name,
            "TIDEMILL_POSTGRES_DSN points at a read-only replica: no job, request or run can be written",
            "set it to the primary's address",
        )
    else:
        yield ok(name, "Postgres accepts writes")


def pooler(facts: Postgres) -> Iterator[Finding]:
    name = "postgres.pooler"
    if facts.is_shared:
        yield bad(
            name,
            "TIDEMILL_POSTGRES_DSN leads to a pooler in transaction mode: it gives away the advisory locks that "
            "migrate, the sinks and `job put` hold",
            "name Postgres itself, or a pooler in session mode",
        )
    else:
        yield ok(name, "a session of Postgres has one client")


def wal_level(facts: Postgres) -> Iterator[Finding]:
    name, found = "postgres.wal_level", facts.settings.get("wal_level", "unknown")
    if found != "logical":
        yield bad(
            name,
            f"wal_level is {found}: the WAL lacks what Debezium needs, so no row reaches Kafka",
            "`ALTER SYSTEM SET wal_level = 'logical'` (a managed service has a parameter for it), and restart Postgres",
        )
    else:
        yield ok(name, "wal_level is logical")


def role(facts: Postgres) -> Iterator[Finding]:
    name = "postgres.replication_right"
    if not facts.may_replicate:
        yield bad(
            name,
            f"the role {facts.role} has no replication right: Debezium cannot read its slot",
            f'`ALTER ROLE "{facts.role}" REPLICATION` as a superuser (on RDS: `GRANT rds_replication TO …`)',
        )
    else:
        yield ok(name, f"the role {facts.role} has the replication right")


def rights(facts: Postgres) -> Iterator[Finding]:
    name = "postgres.rights"
    if facts.missing_rights:
        yield bad(
            name,
            f"rights are missing: {listed(facts.missing_rights)}: what needs them will fail",
            "run `tidemill migrate`, which gives each role its rights; the doctor needs those of a reader "
            "(docs/security.md)",
        )
    else:
        yield ok(name, "the role of each process has the rights that it needs")


def migrations(facts: Postgres) -> Iterator[Finding]:
    name, found = "postgres.migrations", facts.migrations
    if found is None:
        return  # `rights` reports the missing right
    if found.newer:
        yield warn(name, found.newer, NEWER_REMEDY)
    elif found.changed:
        yield bad(
            name,
            f"this version has other contents of {listed(found.changed)}: the tables may differ from what it expects",
            "use the version that migrated this database, or make the database again if it has no data",
        )
    elif found.missing:
        yield bad(name, f"not applied yet: {listed(found.missing)}; tables or columns are missing", MIGRATE)
    else:
        yield ok(name, "the tables are up to date")


def publication(facts: Postgres) -> Iterator[Finding]:
    name, found = "postgres.publication", facts.publication
    if found is None:
        yield bad(
            name,
            f"there is no publication {PUBLICATION}: Postgres sends no row to Debezium",
            f"{MIGRATE}; if it was dropped: `CREATE PUBLICATION {PUBLICATION} FOR TABLE "
            f"{', '.join((*CAPTURED, HEARTBEAT))} WITH (publish = 'insert,update')`",
        )
        return
    missing = sorted({*CAPTURED, HEARTBEAT} - found.tables)
    if missing:
        yield bad(
            name,
            f"the publication {PUBLICATION} lacks {listed(missing)}: their rows are never captured",
            f"`ALTER PUBLICATION {PUBLICATION} ADD TABLE {', '.join(missing)}`",
        )
    elif not (found.inserts and found.updates):
        yield bad(
            name,
            f"the publication {PUBLICATION} does not publish inserts and updates: rows or heartbeats are not captured",
            f"`ALTER PUBLICATION {PUBLICATION} SET (publish = 'insert,update')`",
        )
    else:
        yield ok(name, f"the publication {PUBLICATION} has the captured tables")


def slot(facts: Postgres) -> Iterator[Finding]:
    name, found, called = "postgres.slot", facts.slot, f"the replication slot {facts.slot_name}"
    connector = "see the findings about the connector; `python -m connectors.supervisor` restarts what failed"
    if found is None:
        yield bad(
            name,
            f"{called} does not exist: nothing is captured; a later snapshot finds the rows that are written now",
            f"{MIGRATE}: the connector makes the slot",
        )
    elif found.plugin != "pgoutput" or found.database != facts.database:
        yield bad(
            name,
            f"{called} is for {found.plugin} on {found.database} instead of pgoutput on {facts.database}: "
            "another program owns it",
            "choose another TIDEMILL_SLOT_NAME and run `tidemill migrate`",
        )
    elif found.wal_status == LOST:
        yield bad(
            name,
            f"{called} was not read for too long, and its WAL is deleted: nothing can be captured from it",
            "start `python -m connectors.supervisor`, which replaces the slot and takes a new snapshot; raise "
            "max_slot_wal_keep_size",
        )
    elif not found.active:
        yield bad(name, f"no client reads {called}: rows wait in Postgres, which keeps their WAL", connector)
    else:
        yield ok(name, f"Debezium reads {called}")


def failover(facts: Postgres) -> Iterator[Finding]:
    """Check what a standby needs to take over, if the DSN names one."""
    name, page = "postgres.failover", "docs/postgres-failover.md"
    if facts.hosts == 1 or facts.slot is None:
        return
    if not facts.slot.failover:
        yield warn(
            name,
            f"no standby copies the slot {facts.slot_name}: after a failover the connector takes a new snapshot",
            f"Postgres 17 or newer, and `ALTER_REPLICATION_SLOT {facts.slot_name} (FAILOVER true)`: {page}, step 4",
        )
    elif not facts.settings.get("synchronized_standby_slots"):
        yield warn(
            name,
            "synchronized_standby_slots is empty: the connector may read rows that no standby has, and would pass over "
            "rows after a failover",
            f"name the slots of the standbys in it: {page}, step 3; it stays empty while there is no standby",
        )
    else:
        yield ok(name, "a standby may take over: it copies the connector's slot")


def slot_lag(facts: Postgres) -> Iterator[Finding]:
    name, found = "postgres.slot_lag", facts.slot
    if found is None or found.wal_status == LOST:
        return
    kept = f"Postgres keeps {_megabytes(found.behind_bytes)} of WAL for the slot"
    half = found.safe_bytes is not None and found.safe_bytes < found.behind_bytes
    if found.wal_status == "unreserved" or half:
        yield bad(
            name,
            f"{kept}, and after {_megabytes(max(found.safe_bytes or 0, 0))} more the slot is lost",
            "see the findings about the connector and Kafka, so that Debezium catches up; or raise "
            "max_slot_wal_keep_size until then",
        )
    elif found.wal_status == "extended":
        yield warn(
            name,
            f"{kept}, more than max_wal_size: the capture does not keep up",
            "see the findings about the connector and Kafka; a long transaction also delays the capture",
        )
    else:
        yield ok(name, kept)


def wal_limit(facts: Postgres) -> Iterator[Finding]:
    name, limit = "postgres.max_slot_wal_keep_size", int(facts.settings.get("max_slot_wal_keep_size", -1))
    if limit < 0:
        yield warn(
            name,
            "max_slot_wal_keep_size has no limit: a slot without a reader keeps WAL until the disk is full",
            "`ALTER SYSTEM SET max_slot_wal_keep_size = '4GB'` and `SELECT pg_reload_conf()`; a lost slot is replaced",
        )
    else:
        yield ok(name, f"a slot without a reader keeps at most {limit} MB of WAL")


def slots(facts: Postgres) -> Iterator[Finding]:
    name = "postgres.max_replication_slots"
    limit = int(facts.settings.get("max_replication_slots", 0))
    if facts.slot is None and facts.replication_slots >= limit:
        yield bad(
            name,
            f"all {limit} replication slots are in use: Debezium cannot make its own",
            "drop an unused one (`SELECT * FROM pg_replication_slots`), or raise max_replication_slots and "
            "max_wal_senders, which needs a restart",
        )
    else:
        yield ok(name, f"{facts.replication_slots} of {limit} replication slots are in use")


def idle_slots(facts: Postgres) -> Iterator[Finding]:
    """Check a setting that Postgres has since version 18."""
    name, seconds = "postgres.idle_replication_slot_timeout", facts.settings.get("idle_replication_slot_timeout", "0")
    if seconds != "0":
        yield warn(
            name,
            f"idle_replication_slot_timeout is {seconds} s: if Connect is down for that long, Postgres drops the slot",
            "`ALTER SYSTEM SET idle_replication_slot_timeout = 0`; max_slot_wal_keep_size protects the disk",
        )


def heartbeat(facts: Postgres) -> Iterator[Finding]:
    name = "postgres.heartbeat"
    if facts.history is None:
        return
    age = facts.history.heartbeat_age
    if age > HEARTBEAT_LATE:
        yield warn(
            name,
            f"the connector last wrote its heartbeat {age.total_seconds():.0f} s ago: it captures nothing now",
            "see the findings about the connector",
        )
    else:
        yield ok(name, "the connector writes its heartbeat")


def problems(facts: Postgres) -> Iterator[Finding]:
    name = "postgres.problems"
    if facts.history is None:
        return
    if facts.history.problems:
        yield warn(
            name,
            f"{facts.history.problems} records of the last day could not be decoded or were refused",
            "`tidemill problems --since 24h` lists them with the reasons",
        )
    else:
        yield ok(name, "there were no problems in the last day")
    if facts.history.unreadable:
        yield warn(
            "kafka.unreadable",
            facts.history.unreadable,
            "find the producer that wrote them and its codec, and send the requests again",
        )


def retention(facts: Postgres) -> Iterator[Finding]:
    """Check that old history is pruned."""
    name, history = "postgres.retention", facts.history
    if history is None:
        return
    known, ttls = history.retention, facts.ttls
    held = f"the history of {known.weeks} weeks takes {_megabytes(history.total_bytes)}"
    if known.failure:
        yield warn(
            name,
            f"{held}, and the last round of pruning was not complete: {known.failure}",
            "the sink tries again; see its log",
        )
    elif known.next_at is not None and history.now > known.next_at + ROUND_LATE:
        yield warn(
            name,
            f"{held}, and no sink has pruned it since {rfc3339(known.next_at)}: it grows forever",
            "check that `python -m connectors.sink` runs, and see its log",
        )
    else:
        yield ok(
            name,
            f"{held}; runs are kept for {_days(ttls.history)} (failures {_days(ttls.failed_history)}), "
            f"logs for {_days(ttls.logs)} (failures {_days(ttls.failed_logs)})",
        )


def restored(facts: Restored) -> Iterator[Finding]:
    name = "history.restored"
    if facts.noticed_at is None and facts.given >= facts.applied:
        yield ok(name, "the database gives new versions, so it was not restored from a backup")
        return
    since = f" (noticed at {rfc3339(facts.noticed_at)})" if facts.noticed_at else ""
    yield bad(
        name,
        f"the database was restored from a backup{since}: its new versions are below {facts.applied}, which the "
        "streams have applied, so the streams ignore changes of jobs and DAGs",
        "run `tidemill restored`: it writes every job and DAG again; see docs/backup.md",
    )


def reconciled(facts: Restored) -> Iterator[Finding]:
    name, remedy = "history.reconciled", "see docs/operations.md, TidemillDefinitionsDiffer"
    if facts.refusal:
        yield bad(name, facts.refusal, remedy)
    elif facts.differing_since is not None and facts.now - facts.differing_since > HEALING_LATE:
        since = rfc3339(facts.differing_since)
        yield warn(name, f"since {since}, the streams hold other versions of {facts.differing} jobs and DAGs", remedy)
    elif facts.now - facts.compared_at > COMPARISON_LATE:
        yield warn(
            name,
            f"no sink has compared jobs and DAGs with what the streams hold since {rfc3339(facts.compared_at)}",
            "check that `python -m connectors.sink` runs, and see `definitions_not_compared` in its log",
        )
    else:
        yield ok(name, "the streams hold the jobs and DAGs of this database")


def _days(duration: timedelta) -> str:
    return f"{duration / timedelta(days=1):g} d"


def _megabytes(count: int) -> str:
    return f"{count / MEGABYTE:.0f} MB" if count >= 10 * MEGABYTE else f"{count / MEGABYTE:.1f} MB"


RESTORED_CHECKS: tuple[Callable[[Restored], Iterator[Finding]], ...] = (restored, reconciled)
CHECKS: tuple[Callable[[Postgres], Iterator[Finding]], ...] = (
    version,
    primary,
    pooler,
    wal_level,
    role,
    rights,
    migrations,
    publication,
    slot,
    failover,
    slot_lag,
    wal_limit,
    slots,
    idle_slots,
    heartbeat,
    problems,
    retention,
)
