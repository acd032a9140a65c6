"""Saves what the fold knows, with the offsets up to which it knows it, as one file; loads it after a restart."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from connectors.metrics.figures import Labels, Times
from connectors.metrics.fold import Fold, OpenRun, Partition, restore_open
from connectors.metrics.names import NO_NAMES, SavedNames
from observe.catalogue import status as catalogue
from observe.metric import Kind, Metric
from schemas.errors import TidemillError

FORMAT = 1
"""A file of another format counts as no file."""
LOCK = "metrics.lock"
_FROM_OPEN_RUNS = frozenset(each.name for each in catalogue.FOLDED if each.kind is Kind.GAUGE)

log = structlog.get_logger()


class FolderInUseError(TidemillError):
    """Another process uses TIDEMILL_METRICS_STATE."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    topic_id: str
    partitions: dict[int, Partition]
    counts: dict[str, list[tuple[Labels, int]]]
    times: dict[str, list[tuple[Labels, Times]]]
    successes: dict[str, datetime]


S = TypeVar("S", Snapshot, SavedNames)
_FILES = {Snapshot: "metrics.snapshot", SavedNames: "metrics.names"}


def names_of(state: Fold) -> SavedNames:
    return SavedNames(tenants=state.tenants.in_order, jobs=state.jobs.in_order)


def snapshot_of(state: Fold, topic_id: str) -> Snapshot:
    counts = state.figures.counts.items()
    return Snapshot(
        format=FORMAT,
        topic_id=topic_id,
        partitions=state.partitions,
        counts={name: list(series.items()) for name, series in counts if name not in _FROM_OPEN_RUNS},
        times={name: list(series.items()) for name, series in state.figures.times.items()},
        successes=state.successes,
    )


def restore(state: Fold, saved: Snapshot, topic_id: str) -> None:
    """Continue with what was saved. Series that this release or these settings do not have are dropped.

    If the topic is another one, the figures go on, and nothing is known of its runs.
    """
    for metric in state.figures.metrics:
        if metric.kind is Kind.HISTOGRAM:
            fits = len(metric.buckets) + 1
            times = state.figures.times[metric.name]
            times |= {
                labels: found
                for labels, found in saved.times.get(metric.name, ())
                if _is_kept(state, metric, labels) and len(found.counts) == fits
            }
        else:
            counts = saved.counts.get(metric.name, ())
            known = {labels: found for labels, found in counts if _is_kept(state, metric, labels)}
            state.figures.counts[metric.name] |= known
    if state.options.successes:
        state.successes |= saved.successes
    if saved.topic_id != topic_id:
        log.warning("topic_replaced", reason="the topic `status` is another one than before: counting goes on from now")
        return
    for number, partition in saved.partitions.items():
        state.partitions[number] = partition
        for run_id, run in partition.runs.items():
            partition.runs[run_id] = _with_own_labels(state, run)
        restore_open(state, partition.runs.values())


def _is_kept(state: Fold, metric: Metric, labels: Labels) -> bool:
    """Not a series of a tenant or job that a lower limit has left without a label: `other` must not jump by it."""
    if len(labels) != len(metric.labels):
        return False
    names = {"tenant": state.tenants, "job_id": state.jobs}
    pairs = zip(metric.labels, labels, strict=True)
    return all(value in names[label] for label, value in pairs if label in names)


def _with_own_labels(state: Fold, run: OpenRun) -> OpenRun:
    """The same run with labels that all runs share, which saves memory."""
    return msgspec.structs.replace(
        run,
        timeout_class=sys.intern(run.timeout_class),
        tenant=state.tenants.label(run.tenant),
        job=state.jobs.label(run.job),
    )


def save(folder: Path, value: Snapshot | SavedNames) -> None:
    """Replace the file in one step; it survives a power failure. Raises `OSError`."""
    file = folder / _FILES[type(value)]
    written = file.with_suffix(".new")
    with written.open("wb") as opened:
        opened.write(msgspec.msgpack.encode(value))
        opened.flush()
        os.fsync(opened.fileno())
    written.replace(file)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load_snapshot(folder: Path) -> Snapshot | None:
    found = _load(folder, Snapshot)
    if found and found.format != FORMAT:
        log.warning("metrics_state_unreadable", reason=f"another release wrote {folder}: the metrics start anew")
        return None
    return found


def load_names(folder: Path) -> SavedNames:
    return _load(folder, SavedNames) or NO_NAMES


def _load(folder: Path, kind: type[S]) -> S | None:
    """None: there is no file, or none that this release can read."""
    file = folder / _FILES[kind]
    try:
        return msgspec.msgpack.decode(file.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        log.warning("metrics_state_unreadable", reason=f"{file}: {error}: the metrics start anew")
        return None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time counts in a folder. Raises `FolderInUseError` and `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderInUseError(f"another process uses TIDEMILL_METRICS_STATE {folder}") from error
        yield
