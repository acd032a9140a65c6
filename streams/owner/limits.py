"""The limits of a session and its owners."""

from __future__ import annotations

from datetime import timedelta

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    bare_commit_interval: timedelta = timedelta(seconds=3)
    """How often watermarks and offsets without effects are committed, instead of with every tick."""
    longest_wait: timedelta = timedelta(seconds=1)
    """How often an idle owner checks the clock."""
    batch_wait: timedelta = timedelta(milliseconds=50)
    """Non-urgent effects wait this long for others: a short run then starts and ends in one transaction, or ends in
    that of the next dispatch, and dispatches to a busy executor share one."""
    batch_size: int = 100
    """This many effects are committed without further waiting."""
    bulk: int = 600
    """While more definitions wait, this many go into one transaction."""
    bulk_wait: timedelta = timedelta(milliseconds=200)
    """While more definitions wait, a transaction of definitions is committed after this time at the latest. A commit
    costs all parts of the system as much as a few definitions do."""
    backoff: timedelta = timedelta(milliseconds=500)
    """The pause after a failure, before the next takeover."""
    judge_interval: timedelta = timedelta(seconds=1)
    """How often the session looks for silent attempts."""
    judge_backoff: timedelta = timedelta(seconds=15)
    """The same after a call without an answer: each such call blocks for seconds."""
    stall: timedelta = timedelta(seconds=3)
    """A longer turn counts as an absence: the owner could not read or commit (protocol L3, O7)."""
    commit_pause_ratio: int = 2
    """The pause after a commit, as a multiple of the commit's duration. It is very short on an idle machine. On a busy
    one, inputs gather, and fewer and larger transactions leave more time for the work itself."""
    longest_commit_pause: timedelta = timedelta(milliseconds=100)
    take_at_once: int = 2_000
    """The most deliveries that are taken before the next transaction."""
    pull_at_once: int = 1_000
    """The most records of one read of an input topic: due runs wait for the read, and for those of other partitions."""
    pull_bytes: int = 8 * 1024 * 1024
    """The same in bytes: reading a gap of any length needs bounded memory."""
    queued: int = 10_000
    """The most records of one topic that wait in the owner. Further deliveries are dropped, and read later."""
    queued_bytes: int = 32 * 1024 * 1024
    """The same in bytes."""
    pull_interval: timedelta = timedelta(seconds=60)
    """How often the input topics are read to their ends: correctness must not depend on delivery."""
    undelivered_interval: timedelta = timedelta(milliseconds=100)
    """The same while nothing is delivered: between two assignments and during a handover."""
    pull_backoff: timedelta = timedelta(milliseconds=500)
    """The pause after a failed read."""
