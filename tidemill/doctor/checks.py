"""The table of all checks, and the checks that compare two parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import combinations
from typing import Any

import msgspec

from schemas.topics import STATUS
from tidemill.doctor import check_groups, check_jobs, check_kafka, check_postgres, check_services, check_settings
from tidemill.doctor.facts import Connect, Facts, Kafka, Offset, Postgres, Silent, apart
from tidemill.doctor.finding import Finding, bad, listed, ok, warn

CLOCK_APART_SECONDS = 1.0
CLOCK_WRONG_SECONDS = 30.0


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a deployment: its facts, its checks, and the remedy if it does not answer."""

    name: str
    title: str
    facts: Callable[[Facts], Any]
    checks: tuple[Callable[[Any], Iterator[Finding]], ...]
    if_silent: str


PARTS = (
    Part(
        name="stack",
        title="the local stack",
        facts=lambda facts: facts.processes,
        checks=check_services.PROCESS_CHECKS,
        if_silent="",
    ),
    Part(
        name="postgres",
        title="Postgres",
        facts=lambda facts: facts.postgres,
        checks=check_postgres.CHECKS,
        if_silent="start it, or set TIDEMILL_POSTGRES_DSN to its address and your role",
    ),
    Part(
        name="connect",
        title="Kafka Connect",
        facts=lambda facts: facts.connect,
        checks=check_services.CONNECT_CHECKS,
        if_silent="start it, or set TIDEMILL_CONNECT_URL to its address; until then rows wait in Postgres",
    ),
    Part(
        name="kafka",
        title="Kafka",
        facts=lambda facts: facts.kafka,
        checks=check_kafka.CHECKS,
        if_silent="start it, or set TIDEMILL_KAFKA_BOOTSTRAP and TIDEMILL_KAFKA_OPTIONS to its address and your user",
    ),
    Part(
        name="settings",
        title="the record of the shared settings",
        facts=lambda facts: facts.settings,
        checks=check_settings.CHECKS,
        if_silent="see the findings about Kafka; check that this user may read the topic `cluster`",
    ),
    Part(
        name="history",
        title="the origin of the database",
        facts=lambda facts: facts.restored,
        checks=check_postgres.RESTORED_CHECKS,
        if_silent="",
    ),
    Part(
        name="streams",
        title="the stream workers' group",
        facts=lambda facts: facts.streams,
        checks=check_groups.STREAM_CHECKS,
        if_silent="see the findings about Kafka; check that this user may describe groups",
    ),
    Part(
        name="executors",
        title="the executors' group",
        facts=lambda facts: facts.executors,
        checks=check_groups.EXECUTOR_CHECKS,
        if_silent="see the findings about Kafka; check that this user may describe groups",
    ),
    Part(
        name="lag",
        title="the lag of the readers",
        facts=lambda facts: facts.readers,
        checks=check_groups.READER_CHECKS,
        if_silent="see the findings about Kafka and Postgres",
    ),
    Part(
        name="jobs",
        title="the judge of jobs",
        facts=lambda facts: facts.overdue,
        checks=check_jobs.CHECKS,
        if_silent="see the findings about Kafka and Postgres",
    ),
    Part(
        name="s3",
        title="S3",
        facts=lambda facts: facts.s3,
        checks=check_services.S3_CHECKS,
        if_silent="set TIDEMILL_S3_ENDPOINT to its address",
    ),
)


def findings(facts: Facts) -> Iterator[Finding]:
    for part in PARTS:
        match part.facts(facts):
            case None:
                pass
            case Silent(reason=reason):
                yield bad(f"{part.name}.answers", f"{part.title} does not answer: {reason}", part.if_silent)
            case known:
                for check in part.checks:
                    yield from check(known)
    yield from cluster(facts)
    yield from clocks(facts)
    yield from history(facts)
    for across in check_settings.CROSS_CHECKS:
        yield from across(facts)


def cluster(facts: Facts) -> Iterator[Finding]:
    name, kafka, connect = "connect.cluster", facts.kafka, facts.connect
    if not (isinstance(kafka, Kafka) and isinstance(connect, Connect)):
        return
    if connect.cluster_id != kafka.cluster_id:
        yield bad(
            name,
            f"Connect uses the Kafka cluster {connect.cluster_id}, all other processes use {kafka.cluster_id}: "
            "the streams do not receive captured rows",
            "set TIDEMILL_CONNECT_URL and TIDEMILL_KAFKA_BOOTSTRAP to the same cluster",
        )
    else:
        yield ok(name, "Connect uses the same Kafka cluster")


def clocks(facts: Facts) -> Iterator[Finding]:
    """Report only the difference that the readings prove: a slow answer proves little."""
    known = {"this machine": Offset(low=0.0, high=0.0)}
    if isinstance(facts.kafka, Kafka):
        many = len(facts.kafka.clocks) > 1
        known |= {f"broker {number}" if many else "the broker": each for number, each in facts.kafka.clocks.items()}
    if isinstance(facts.postgres, Postgres):
        known["Postgres"] = facts.postgres.clock
    if len(known) == 1:
        return
    pairs = combinations(known, 2)
    seconds, one, other = max((apart(known[one], known[other]), one, other) for one, other in pairs)
    said = f"the clocks of {one} and {other} are at least {seconds:.1f} s apart"
    why = "requests and definitions use Postgres' time, everything else the brokers'"
    if seconds > CLOCK_APART_SECONDS:
        level = bad if seconds > CLOCK_WRONG_SECONDS else warn
        yield level("clocks", f"{said}: {why}", "synchronize both with NTP or chrony")
    else:
        yield ok("clocks", f"the clocks of {listed(known)} agree")


def history(facts: Facts) -> Iterator[Finding]:
    """Check that a replay of `status` cannot write runs again that were pruned."""
    if not (isinstance(facts.kafka, Kafka) and isinstance(facts.postgres, Postgres)):
        return
    kept = next(
        (
            int(ms)
            for topic in facts.kafka.topics
            if topic.found and topic.desired.name.endswith(STATUS) and (ms := topic.found.config.get("retention.ms"))
        ),
        None,
    )
    if kept is None:
        return
    ttl, retention = facts.postgres.ttls.history, timedelta(milliseconds=kept)
    if kept < 0 or retention > ttl:
        yield warn(
            "history.replay",
            f"the topic {STATUS} keeps runs for longer ({_days(kept)}) than the tables ({ttl.days} days): "
            "a sink that reads the topic from its start writes pruned runs again",
            "make TIDEMILL_HISTORY_TTL at least as long as the topic's retention.ms",
        )
    else:
        yield ok("history.replay", f"the topic {STATUS} keeps runs for {_days(kept)}, the tables for {ttl.days} days")


def _days(milliseconds: int) -> str:
    return "forever" if milliseconds < 0 else f"{timedelta(milliseconds=milliseconds).days} days"
