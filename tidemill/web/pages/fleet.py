"""The fleet: executors with their slots and windows, partitions with their owners, and what waits for whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import htpy as h
from starlette.responses import Response

from connectors.owner_clocks import Seen
from tidemill.lag import Waiting
from tidemill.output import visible
from tidemill.target import Row
from tidemill.web.ask import Ask
from tidemill.web.backend import Backend
from tidemill.web.background import Reading
from tidemill.web.layout import page
from tidemill.web.marks import mark
from tidemill.web.parts import Parts
from tidemill.web.pieces import NONE, brief, instant, live, run_link, section, table

EXECUTORS = ("State", "Executor", "Host", "Version", "Gives", "Slots", "Windows", "Attempts")
PARTITIONS = ("Partition", "Stream worker", "Decided up to", "Behind")
READERS = ("", "Reader", "Records that wait", "The oldest for")
QUIET = timedelta(seconds=30)
"""An owner that has written no clock for longer decides nothing."""
LATE = timedelta(seconds=10)
MOST_ATTEMPTS = 5
MOST_WINDOWS = 12
SIGNS = {"running": "ok", "ill": "bad", "draining": "warn", "silent": "bad"}


def make(ask: Ask, backend: Backend) -> Response:
    found: Reading[Parts] | None = backend.background.get("parts")
    return page(ask, "Fleet", live(ask, "fleet", ("background",), *_fleet(ask, found)))


def _fleet(ask: Ask, found: Reading[Parts] | None) -> Iterator[h.Node]:
    if found is None or found.value is None:
        why = found.problem if found else "The parts are being looked at; this takes some seconds."
        yield h.p(class_="empty")[visible(why or "")]
        return
    parts = found.value
    if parts.problems:
        yield h.ul(class_="problem")[(h.li[visible(each)] for each in parts.problems)]
    yield h.p(class_="summary")["As of ", instant(ask, found.at), "."]
    yield section("Executors", _executors(parts), note="from their heartbeats")
    yield h.div(class_="columns")[
        section("Partitions", _partitions(ask, parts, found.at), note=_group(parts)),
        section("What waits", _readers(parts, found.at), _connector(parts)),
    ]


def _executors(parts: Parts) -> h.Element:
    if parts.executors is None:
        return h.p(class_="empty")["Kafka does not answer."]
    return table("Executors", EXECUTORS, map(_executor, parts.executors), empty="No executor is there: nothing runs.")


def _executor(row: Row) -> tuple[h.Node, ...]:
    shared = h.span(class_="why")["Another executor has the same name."] if row["shares_its_name"] else None
    ill = h.span(class_="why")[f"It is ill: {visible(row['ill'])}."] if row["ill"] else None
    return (
        _signed(SIGNS.get(row["state"], "unknown"), row["state"]),
        h.fragment[visible(row["name"]), " ", shared, ill],
        visible(row["host"]),
        row["version"],
        _gives(row),
        h.ul(class_="gauges")[(_gauge(name, each) for name, each in row["classes"].items())],
        h.ul(class_="gauges")[(_windows(name, each) for name, each in row["windows"].items())] or NONE,
        _attempts(row["attempts"]),
    )


def _gives(row: Row) -> h.Node:
    """What it gives to attempts, and below it what it cannot give."""
    lacks = (row["capabilities"] or {}).get("lacks", ())
    return h.ul(class_="plain gives")[
        (h.li[visible(each)] for each in row["gives"].split("; ")),
        (h.li[h.span(class_="why")[f"{visible(each)}."]] for each in lacks),
    ]


def _signed(sign: str, text: str) -> h.Element:
    """A word beside the sign `ok`, `warn` or `bad`."""
    return h.span(class_="state")[mark(sign), text]


def _gauge(name: str, slots: Mapping[str, int]) -> h.Element:
    """`10s ▮▮▯ 2 of 3 busy`."""
    total, busy = slots["slots"], slots["slots"] - slots["free"]
    return h.li[
        h.span(class_="label")[name],
        h.meter(min="0", max=str(max(total, 1)), value=str(busy), aria_label=f"{busy} of {total} slots of {name} busy"),
        h.span[f"{busy} of {total}"],
    ]


def _windows(name: str, sizes: Mapping[str, int]) -> h.Element:
    shown = [f"{partition}: {size}" for partition, size in list(sizes.items())[:MOST_WINDOWS]]
    more = f", and {len(sizes) - MOST_WINDOWS} more" if len(sizes) > MOST_WINDOWS else ""
    sentence = ", ".join(shown) + more
    return h.li[h.span(class_="label")[name], h.span(title="partition: dispatches that it accepts")[sentence]]


def _attempts(runs: list[str]) -> h.Node:
    if not runs:
        return NONE
    more = f"and {len(runs) - MOST_ATTEMPTS:,} more" if len(runs) > MOST_ATTEMPTS else None
    return h.ul(class_="plain")[(h.li[run_link(each)] for each in runs[:MOST_ATTEMPTS]), h.li[more] if more else None]


def _group(parts: Parts) -> str:
    return f"the group is {parts.workers.state}" if parts.workers else "Kafka does not say who holds them"


def _partitions(ask: Ask, parts: Parts, now: datetime) -> h.Element:
    if parts.partitions is None:
        return h.p(class_="empty")["Kafka does not answer."]
    held = parts.workers.held if parts.workers else {}
    rows = (_partition(ask, each, held, (parts.clocks or {}).get(each), now) for each in range(parts.partitions))
    return table("Partitions", PARTITIONS, rows, empty="There is none.")


def _partition(ask: Ask, number: int, held: Mapping[int, str], seen: Seen | None, now: datetime) -> tuple[h.Node, ...]:
    worker = held.get(number)
    return (
        str(number),
        visible(worker) if worker else _signed("bad", "no worker"),
        instant(ask, seen.clock.watermark) if seen else NONE,
        _behind(max(now - seen.clock.watermark, timedelta(0))) if seen else NONE,
    )


def _behind(length: timedelta) -> h.Node:
    return _signed("bad" if length > QUIET else "ok", brief(length))


def _readers(parts: Parts, now: datetime) -> h.Element:
    if parts.waiting is None:
        return h.p(class_="empty")["Kafka does not answer."]
    return table("What waits", READERS, (_reader(name, each, now) for name, each in parts.waiting.items()), empty="")


def _reader(name: str, waiting: Waiting, now: datetime) -> tuple[h.Node, ...]:
    age = max(now - waiting.since, timedelta(0)) if waiting.since else timedelta(0)
    return (
        mark("warn" if age > LATE else "ok"),
        name.replace("executors.", "executors of "),
        f"{waiting.records:,}",
        brief(age) if waiting.since else NONE,
    )


def _connector(parts: Parts) -> h.Element:
    is_running = parts.connector == "RUNNING"
    return h.p["The connector: ", _signed("ok" if is_running else "bad", parts.connector.lower()), "."]
