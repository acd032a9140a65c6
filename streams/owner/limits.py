"""The limits that a session and its owners go by: values, handed in once."""

from __future__ import annotations

from datetime import timedelta

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    bare_commit_interval: timedelta = timedelta(seconds=3)
    """Watermarks and offsets that nothing came of are committed so often, not with every tick."""
    longest_wait: timedelta = timedelta(seconds=1)
    """An owner with nothing to do looks at the clock so often."""
    batch_wait: timedelta = timedelta(milliseconds=50)
    """Effects that are not urgent wait so long for others: a short run then starts and ends in one transaction, or ends
    in that of the next dispatch, and where an executor has enough to do, dispatches go together."""
    batch_size: int = 100
    """So many effects wait for no more."""
    bulk: int = 600
    """Definitions with others behind them go into one transaction, so many of them or"""
    bulk_wait: timedelta = timedelta(milliseconds=200)
    """what is applied in so much time: a transaction of a few costs everybody as much as they do."""
    backoff: timedelta = timedelta(milliseconds=500)
    """After a failure, before the session asks again whether it still holds the partition."""
    judge_interval: timedelta = timedelta(seconds=1)
    """How often the session looks for attempts that are silent."""
    judge_backoff: timedelta = timedelta(seconds=15)
    """The same after a question that got no answer: each such question blocks for seconds."""
    stall: timedelta = timedelta(seconds=3)
    """A turn that took longer was an absence: the owner could not read or commit (protocol L3, O7)."""
    commit_pause_ratio: int = 2
    """Between two commits the session rests so many times as long as the first one took. On an idle machine that is
    next to nothing; on a busy one, inputs gather, and fewer and larger transactions make room for the work itself."""
    longest_commit_pause: timedelta = timedelta(milliseconds=100)
    take_at_once: int = 2_000
    """Deliveries that are taken before the next transaction."""
    pull_at_once: int = 1_000
    """Records that one read of an input topic returns: what is due waits for it, and for those of other partitions."""
    pull_bytes: int = 8 * 1024 * 1024
    """The same in bytes: a gap of any length is read in bounded memory."""
    queued: int = 10_000
    """Records of one topic that may wait in the owner. Beyond, what is delivered of it is dropped, and read later."""
    queued_bytes: int = 32 * 1024 * 1024
    """The same in bytes."""
    pull_interval: timedelta = timedelta(seconds=60)
    """How often the input topics are read to their ends whatever was delivered: delivery is a matter of speed alone."""
    undelivered_interval: timedelta = timedelta(milliseconds=100)
    """The same while nothing is delivered: between two assignments, and while the partition is handed over."""
    pull_backoff: timedelta = timedelta(milliseconds=500)
    """After a read that failed."""
