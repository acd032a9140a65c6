"""An attempt in the hands of an executor, from its claim until its end is acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, assert_never

import structlog

from executors.attempt import Phase
from executors.checkpoints import NOTHING_KEPT, Kept, not_kept
from executors.clock import boot_seconds
from executors.executables import Executable
from executors.logs import Output
from executors.places import Place
from executors.process import Exited, Spec
from executors.results import NOTHING_WRITTEN, Given, Written, is_written, not_stored
from schemas.dispatch import Dispatch
from schemas.errors import TidemillError
from schemas.event import EndCause, Ended, Rejected
from schemas.kept_clock import KeptClock

_LOG = structlog.get_logger()
_MAX_REASON_BYTES = 2 * 1024


@dataclass(slots=True, kw_only=True)
class Attempt:
    """Only the runner changes it."""

    number: int
    dispatch: Dispatch
    timeout_class: str
    partition: int
    read: float
    """When its dispatch was read (CLOCK_BOOTTIME): what S3 says of its executable counts if it was asked since then."""
    committed: float
    """When the commit that claimed it was sent (CLOCK_BOOTTIME)."""
    phase: Phase = Phase.CLAIMED
    executable: Executable | None = None
    place: Place | None = None
    spec: Spec | None = None
    output: Output | None = None
    announced: bool = False
    """CLAIMED was acknowledged in time: from there the lease rules, not the grace of the claim."""
    kept: Kept = NOTHING_KEPT
    """Its checkpoint, and what was wrong with it or with the one that it was to begin with."""
    given: Given = field(default_factory=dict)
    """Results of others that had to be fetched."""
    written: Written = NOTHING_WRITTEN
    """Its own."""
    reason: str = ""
    cause: EndCause = EndCause.LEASE
    """Why it is to end, or was given up; once it ran, the supervisor says why it ended."""
    grace_seconds: float = 0.0
    started: float | None = None
    exited: Exited | None = None
    kills_before: int | None = None
    """How many processes the kernel had killed for lack of memory when this one was started."""
    memory_problem: str | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What every event of it says."""
        return {"run_id": self.dispatch.run_id, "attempt": self.dispatch.attempt, "token": self.dispatch.token}


@contextmanager
def contained(attempt: Attempt, otherwise: Callable[[Attempt, str], None]) -> Iterator[None]:
    """What S3 answers and processes leave is foreign: it may end its attempt, never the executor and all the others."""
    try:
        yield
    except (TidemillError, OSError) as error:
        otherwise(attempt, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
        _LOG.exception("attempt broken", **attempt.identity)
        otherwise(attempt, f"the executor made a mistake: {type(error).__name__}: {error}")


def lose(attempt: Attempt, reason: str) -> None:
    """What it left cannot be stored."""
    if is_written(attempt.exited, attempt.place):
        attempt.written = not_stored(reason)
    else:
        attempt.kept = not_kept(attempt.kept, reason)


def ended(attempt: Attempt, clock: KeptClock) -> Ended:
    exited, output = attempt.exited, attempt.output and attempt.output.collected()
    return Ended(
        **attempt.identity,
        at=clock.at(exited.at if exited else boot_seconds()),
        cause=exited.cause if exited else attempt.cause,
        exit_code=exited.code if exited else None,
        started_at=None if attempt.started is None else clock.at(attempt.started),
        output=output.text if output else "",
        output_bytes=output.total_bytes if output else 0,
        log_uri=output.log_uri if output else None,
        checkpoint=attempt.kept.uri,
        checkpoint_problem=brief(attempt.kept.problem),
        memory_problem=attempt.memory_problem,
        result=attempt.written.result,
        next_nodes=attempt.written.next_nodes,
        result_problem=brief(attempt.written.problem),
        result_lost=brief(attempt.written.lost),
    )


def rejected(attempt: Attempt, clock: KeptClock) -> Rejected:
    return Rejected(**attempt.identity, at=clock.now(), reason=brief(attempt.reason) or "")


def brief(reason: str | None) -> str | None:
    """What is quoted in it may be long, and need not be UTF-8; the record has room for it and many others."""
    if reason is None:
        return None
    text = reason.encode("utf-8", "replace")
    cut = text[:_MAX_REASON_BYTES].decode("utf-8", "ignore")
    return cut if len(text) <= _MAX_REASON_BYTES else cut + "…"


def log_end(attempt: Attempt, event: Ended | Rejected) -> None:
    match event:
        case Ended():
            _LOG.info("ended", **attempt.identity, cause=event.cause.value, exit_code=event.exit_code)
        case Rejected():
            _LOG.warning("rejected", **attempt.identity, reason=event.reason)
        case _:
            assert_never(event)
