"""When a process must go, and how: its limit, its lease, and the grace between TERM and KILL (protocol L1, L2, L7)."""

from __future__ import annotations

from dataclasses import dataclass, replace

# The supervisor imports this file: nothing but the standard library, and of that little.

FOREVER = float("inf")

EXITED, LIMIT, LEASE, STOPPED, CANCELLED = "exited", "limit", "lease", "stopped", "cancelled"
"""The words of `schemas.event.EndCause`."""

TERM, KILL = "term", "kill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for one process; seconds."""

    limit: float
    grace: float
    """Between TERM and KILL."""
    lease: float
    margin: float
    """Before the lease ends, so that the process is gone when others take over."""
    start_before: float
    """A moment of CLOCK_BOOTTIME: a claim that is older is void and never executed (protocol D4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a process is on its way out; moments are seconds of CLOCK_BOOTTIME."""

    started: float
    cause: str = EXITED
    kill_at: float = FOREVER
    killed: bool = False


def may_start(terms: Terms, now: float, renewed: float) -> bool:
    return now < min(terms.start_before, lease_deadline(terms, renewed))


def lease_deadline(terms: Terms, renewed: float) -> float:
    """`renewed` is when the last acknowledged heartbeat was sent."""
    return renewed + terms.lease - terms.margin


def next_moment(terms: Terms, standing: Standing, renewed: float) -> float:
    """When `enforce` has something to do next."""
    if standing.killed:
        return FOREVER
    if standing.cause == EXITED:
        return min(standing.started + terms.limit, lease_deadline(terms, renewed))
    return min(standing.kill_at, _last_moment(terms, renewed))


def enforce(terms: Terms, standing: Standing, now: float, renewed: float) -> tuple[Standing, str | None]:
    """The signal that is due now, if any."""
    if now < next_moment(terms, standing, renewed):
        return standing, None
    if standing.cause == EXITED:
        cause = LEASE if now >= lease_deadline(terms, renewed) else LIMIT
        return condemn(standing, now, cause, terms.grace)
    return replace(standing, killed=True), KILL


def condemn(standing: Standing, now: float, cause: str, grace: float) -> tuple[Standing, str | None]:
    """The first word counts: it gives the cause, and the one TERM. A later one can only shorten the grace."""
    if standing.cause != EXITED:
        return replace(standing, kill_at=min(standing.kill_at, now + grace)), None
    condemned = replace(standing, cause=cause, kill_at=now + grace)
    return (condemned, TERM) if grace > 0 else (replace(condemned, killed=True), KILL)


def _last_moment(terms: Terms, renewed: float) -> float:
    """KILL waits for no grace once half of the margin is used up."""
    return lease_deadline(terms, renewed) + terms.margin / 2
