"""When to send TERM and KILL to a process: by its limit, its lease and its grace (protocol L1, L2, L7). Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

# The process supervisor imports this file: import only small parts of the standard library.

FOREVER = float("inf")

EXITED, LIMIT, LEASE, STOPPED, CANCELLED = "exited", "limit", "lease", "stopped", "cancelled"
"""The values of `schemas.event.EndCause`."""

TERM, KILL = "term", "kill"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessTerms:
    """The durations that apply to one process, in seconds."""

    limit: float
    grace: float
    """Between TERM and KILL."""
    lease: float
    margin: float
    """TERM is sent so long before the lease expires, so that the process is gone when the owner dispatches again."""
    start_before: float
    """CLOCK_BOOTTIME: from this moment on the claim is void, and the process must not start (protocol D4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Which signals a process got, and why; times are seconds of CLOCK_BOOTTIME."""

    started: float
    cause: str = EXITED
    kill_at: float = FOREVER
    killed: bool = False


def may_start(terms: ProcessTerms, now: float, renewed: float) -> bool:
    return now < min(terms.start_before, lease_deadline(terms, renewed))


def lease_deadline(terms: ProcessTerms, renewed: float) -> float:
    """`renewed` is the time at which the last acknowledged heartbeat was sent."""
    return renewed + terms.lease - terms.margin


def next_moment(terms: ProcessTerms, standing: Standing, renewed: float) -> float:
    """When to call `enforce` next."""
    if standing.killed:
        return FOREVER
    if standing.cause == EXITED:
        return min(standing.started + terms.limit, lease_deadline(terms, renewed))
    return min(standing.kill_at, _last_moment(terms, renewed))


def enforce(terms: ProcessTerms, standing: Standing, now: float, renewed: float) -> tuple[Standing, str | None]:
    """The signal that is due now, if any."""
    if now < next_moment(terms, standing, renewed):
        return standing, None
    if standing.cause == EXITED:
        cause = LEASE if now >= lease_deadline(terms, renewed) else LIMIT
        return terminate(standing, now, cause, terms.grace)
    return replace(standing, killed=True), KILL


def terminate(standing: Standing, now: float, cause: str, grace: float) -> tuple[Standing, str | None]:
    """Only the first call sets the cause and sends TERM. A later call can only shorten the grace."""
    if standing.cause != EXITED:
        return replace(standing, kill_at=min(standing.kill_at, now + grace)), None
    terminated = replace(standing, cause=cause, kill_at=now + grace)
    return (terminated, TERM) if grace > 0 else (replace(terminated, killed=True), KILL)


def _last_moment(terms: ProcessTerms, renewed: float) -> float:
    """Send KILL at the latest when half of the margin is over, even if the grace is not."""
    return lease_deadline(terms, renewed) + terms.margin / 2
