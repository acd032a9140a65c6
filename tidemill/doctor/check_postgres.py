"""What is judged of Postgres: the server, the role, what is captured, the tables."""

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
"""Six times the connector's interval."""
ROUND_LATE = timedelta(hours=1)
MEGABYTE = 1024 * 1024
MIGRATE = "run `tidemill migrate`"


def version(facts: Postgres) -> Iterator[Finding]:
    name = "postgres.version"
    said = f"Postgres is version {facts.version // 10_000}.{facts.version % 10_000}"
    if facts.version < OLDEST_VERSION:
        yield bad(
            name, f"{said}; the tables and the capture are made for 16 and later", "upgrade it, or use another server"
        )
    else:
        yield ok(name, said)


def primary(facts: Postgres) -> Iterator[Finding]:
    name = "postgres.primary"
    if facts.is_replica:
        yield bad(
            name,
            "TIDEMILL_POSTGRES_DSN points at a read-only replica: no job, request or run can be written",
            "let it point at the primary",
        )
    else:
        yield ok(name, "Postgres takes writes")


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
            f"wal_level is {found}: Postgres does not write what Debezium decodes, so no row can reach Kafka",
            "`ALTER SYSTEM SET wal_level = 'logical'` (a managed service has a parameter for it), and restart Postgres",
        )
    else:
        yield ok(name, "wal_level is logical")


def role(facts: Postgres) -> Iterator[Finding]:
    name = "postgres.replication_right"
    if not facts.may_replicate:
        yield bad(
            name,
            f"the role {facts.role} may not replicate: Debezium cannot read its slot",
            f'`ALTER ROLE "{facts.role}" REPLICATION` as a superuser (on RDS: `GRANT rds_replication TO …`)',
        )
    else:
        yield ok(name, f"the role {facts.role} may replicate")


def rights(facts: Postgres) -> Iterator[Finding]:
    name = "postgres.rights"
    if facts.missing_rights:
        yield bad(
            name,
            f"the role {facts.role} lacks {listed(facts.missing_rights)}: what needs it fails when it is needed",
            f'GRANT it to "{facts.role}" as the owner of the schema tidemill, or let that owner run Tidemill',
        )
    else:
        yield ok(name, f"the role {facts.role} has the rights that the processes need")


def migrations(facts: Postgres) -> Iterator[Finding]:
    name, found = "postgres.migrations", facts.migrations
    if found is None:
        return  # `rights` says why nobody knows
    if found.newer:
        yield warn(name, found.newer, NEWER_REMEDY)
    elif found.changed:
        yield bad(
            name,
            f"applied in another form: {listed(found.changed)}; the tables may not be what this version expects",
            "use the version that migrated this database; a database without data can be made anew",
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
            f"there is no publication {PUBLICATION}: Postgres tells Debezium of no row at all",
            f"{MIGRATE}; if it was dropped: `CREATE PUBLICATION {PUBLICATION} FOR TABLE "
            f"{', '.join((*CAPTURED, HEARTBEAT))} WITH (publish = 'insert,update')`",
        )
        return
    missing = sorted({*CAPTURED, HEARTBEAT} - found.tables)
    if missing:
        yield bad(
            name,
            f"the publication {PUBLICATION} is without {listed(missing)}: rows there are never captured",
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
    connector = "look at the findings about the connector; `python -m connectors.supervisor` restarts what failed"
    if found is None:
        yield bad(
            name,
            f"{called} does not exist: nothing is captured, and what is written now is found by a snapshot later",
            f"{MIGRATE}: the connector makes it",
        )
    elif found.plugin != "pgoutput" or found.database != facts.database:
        yield bad(
            name,
            f"{called} is of {found.plugin} on {found.database}, and not of pgoutput on {facts.database}: "
            "it is somebody else's",
            "choose another TIDEMILL_SLOT_NAME and run `tidemill migrate`",
        )
    elif found.wal_status == LOST:
        yield bad(
            name,
            f"the WAL of {called} is gone, because nobody read it for too long: nothing can be captured from it",
            "`python -m connectors.supervisor` replaces it and takes a new snapshot; raise max_slot_wal_keep_size",
        )
    elif not found.active:
        yield bad(name, f"nobody reads {called}: rows wait in Postgres, which keeps their WAL", connector)
    else:
        yield ok(name, f"{called} is read")


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
            "let Debezium catch up: see the connector and Kafka; or raise max_slot_wal_keep_size for the time",
        )
    elif found.wal_status == "extended":
        yield warn(
            name,
            f"{kept}, more than max_wal_size: capturing does not keep up",
            "see the findings about the connector and about Kafka; a long transaction holds it back too",
        )
    else:
        yield ok(name, kept)


def wal_limit(facts: Postgres) -> Iterator[Finding]:
    name, limit = "postgres.max_slot_wal_keep_size", int(facts.settings.get("max_slot_wal_keep_size", -1))
    if limit < 0:
        yield warn(
            name,
            "max_slot_wal_keep_size has no limit: a slot that nobody reads keeps WAL until the disk is full",
            "`ALTER SYSTEM SET max_slot_wal_keep_size = '4GB'` and `SELECT pg_reload_conf()`; a lost slot is replaced",
        )
    else:
        yield ok(name, f"a slot that nobody reads keeps at most {limit} MB of WAL")


def slots(facts: Postgres) -> Iterator[Finding]:
    name = "postgres.max_replication_slots"
    limit = int(facts.settings.get("max_replication_slots", 0))
    if facts.slot is None and facts.replication_slots >= limit:
        yield bad(
            name,
            f"all {limit} replication slots are taken: Debezium cannot make its own",
            "drop one that nobody uses (`SELECT * FROM pg_replication_slots`), or raise max_replication_slots; "
            "that and max_wal_senders need a restart",
        )
    else:
        yield ok(name, f"{facts.replication_slots} of {limit} replication slots are in use")


def idle_slots(facts: Postgres) -> Iterator[Finding]:
    """A setting that Postgres has since version 18."""
    name, seconds = "postgres.idle_replication_slot_timeout", facts.settings.get("idle_replication_slot_timeout", "0")
    if seconds != "0":
        yield warn(
            name,
            f"idle_replication_slot_timeout is {seconds} s: while Connect is away for so long, the slot is dropped",
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
            f"the connector's heartbeat was last written {age.total_seconds():.0f} s ago: it captures nothing now",
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
            f"{facts.history.problems} records of the last day could not be understood or were refused",
            "`tidemill problems --since 24h` says which and why",
        )
    else:
        yield ok(name, "the last day brought no problems")
    if facts.history.unreadable:
        yield warn(
            "kafka.unreadable",
            facts.history.unreadable,
            "find out which producer wrote them and with which codec, and ask again for what they asked for",
        )


def retention(facts: Postgres) -> Iterator[Finding]:
    """What grows with time, and whether it ends."""
    name, history = "postgres.retention", facts.history
    if history is None:
        return
    known, ttls = history.retention, facts.ttls
    held = f"the history of {known.weeks} weeks takes {_megabytes(history.total_bytes)}"
    if known.failure:
        yield warn(
            name,
            f"{held}, and the last round of the times to live did not do all it had to: {known.failure}",
            "it is tried again; the sink's log says more",
        )
    elif known.next_at is not None and history.now > known.next_at + ROUND_LATE:
        yield warn(
            name,
            f"{held}, and no sink has pruned it since {rfc3339(known.next_at)}: it grows for ever",
            "is `python -m connectors.sink` running? Its log says",
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
        yield ok(name, "the database gives versions that the streams have not read yet")
        return
    since = f" (noticed at {rfc3339(facts.noticed_at)})" if facts.noticed_at else ""
    yield bad(
        name,
        f"the database was restored from a backup{since}: its versions begin again below {facts.applied}, which the "
        "streams have applied, so changes of jobs and DAGs are shown and not used",
        "run `tidemill restored`: it writes every job and DAG anew; see docs/backup.md",
    )


def _days(duration: timedelta) -> str:
    return f"{duration / timedelta(days=1):g} d"


def _megabytes(count: int) -> str:
    return f"{count / MEGABYTE:.0f} MB" if count >= 10 * MEGABYTE else f"{count / MEGABYTE:.1f} MB"


RESTORED_CHECKS: tuple[Callable[[Restored], Iterator[Finding]], ...] = (restored,)
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
    slot_lag,
    wal_limit,
    slots,
    idle_slots,
    heartbeat,
    problems,
    retention,
)
