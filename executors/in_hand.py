"""What an executor knows of one of its attempts, from the claim until Kafka acknowledges its end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, assert_never

import msgspec
import structlog

from executors.attempt import Act, Fact, Phase, advance
from executors.attempt_dirs import AttemptDir
from executors.cache import stamp_of
from executors.checkpoints import NO_CHECKPOINT, CheckpointOutcome, checkpoint_not_stored
from executors.claim import Chosen, Polled
from executors.clock import boot_seconds
from executors.executables import Executable
from executors.logs import Output
from executors.metrics import Metrics, NoProcess
from executors.results import NO_RESULT, ResultOutcome, has_result, result_not_stored
from executors.sandbox.cgroups import Group
from executors.sandbox.confine import Confiner
from executors.sandbox.limits import NO_LIMITS, Limits
from executors.sandbox.steps import NOT_ENTERED, failure_at
from executors.secrets.masking import Masker
from executors.secrets.store import Resolved
from executors.supervisor_link import Exited, Spec
from schemas.control import Kill
from schemas.dispatch import Dispatch
from schemas.errors import TidemillError
from schemas.event import EndCause, Ended, Expired, Rejected
from schemas.kept_clock import KeptClock

_LOG = structlog.get_logger()
_MAX_REASON_BYTES = 2 * 1024


@dataclass(slots=True, kw_only=True)
class Attempt:
    """Only the runner changes its fields."""

    number: int
    dispatch: Dispatch
    timeout_class: str
    partition: int
    read: float
    """When its dispatch was read (CLOCK_BOOTTIME): an ETag from S3 counts if the request was sent after this time."""
    committed: float
    """When the commit that claimed it was sent (CLOCK_BOOTTIME)."""
    phase: Phase = Phase.CLAIMED
    since: float = 0.0
    """When this phase began (CLOCK_BOOTTIME); not set for `CLAIMED`."""
    executable: Executable | None = None
    directory: AttemptDir | None = None
    fills_directory: bool = False
    """A thread may write a checkpoint into its directory, and goes on if the attempt ends meanwhile."""
    secrets: Resolved | None = None
    """None: they have to be asked for."""
    spec: Spec | None = None
    output: Output | None = None
    announced: bool = False
    """CLAIMED was acknowledged in time: from then on the lease applies, not the claim grace."""
    checkpoint: CheckpointOutcome = NO_CHECKPOINT
    """Whether its checkpoint was stored, and the checkpoint that it started from was restored."""
    stdin: int | None = None
    """The descriptor of what its process reads; None: that is nothing, or small and not written yet."""
    result: ResultOutcome = NO_RESULT
    """The attempt's own result."""
    reason: str = ""
    cause: EndCause = EndCause.LEASE
    """Why the attempt ends if its process did not run; otherwise `exited.cause` applies."""
    grace_seconds: float = 0.0
    started: float | None = None
    exited: Exited | None = None
    limits: Limits = NO_LIMITS
    group: Group | None = None
    """Its control group; None: it needs none."""
    kills_before: int | None = None
    """How many processes the kernel had killed for lack of memory before this one started."""
    memory_problem: str | None = None
    disk_problem: str | None = None
    pids_problem: str | None = None
    peak_memory: int | None = None
    cpu_seconds: float | None = None

    def close_stdin(self) -> None:
        if self.stdin is not None:
            os.close(self.stdin)
            self.stdin = None

    @property
    def masker(self) -> Masker | None:
        return self.secrets.masker if self.secrets else None

    @property
    def identity(self) -> dict[str, Any]:
        """The fields that each of its events has."""
        return {"run_id": self.dispatch.run_id, "attempt": self.dispatch.attempt, "token": self.dispatch.token}


def begun(number: int, timeout_class: str, polled: Polled, dispatch: Dispatch) -> Attempt:
    """An attempt whose claim is committed."""
    assert polled.commit_sent is not None
    return Attempt(
        number=number,
        dispatch=dispatch,
        timeout_class=timeout_class,
        partition=polled.partition,
        read=polled.read,
        committed=polled.commit_sent,
    )


def move(attempt: Attempt, fact: Fact, metrics: Metrics) -> Act | None:
    """Move the attempt to its next phase, and measure the phase that it leaves. Returns what to do now."""
    before = attempt.phase
    attempt.phase, act = advance(before, fact)
    if attempt.phase is not before:
        now = boot_seconds()
        metrics.left(before, now - attempt.since)
        attempt.since = now
    return act


Describe = Callable[[Attempt, KeptClock], Ended | Rejected]
"""Makes the event of an attempt's end."""


@contextmanager
def contain_errors(attempt: Attempt, on_error: Callable[[Attempt, str], None]) -> Iterator[None]:
    """Answers of S3 and files of processes can be anything: an error ends this attempt, never the executor."""
    try:
        yield
    except (TidemillError, OSError) as error:
        on_error(attempt, str(error))
    except Exception as error:  # noqa: BLE001 - the other attempts go on
        _LOG.exception("attempt broken", **attempt.identity)
        on_error(attempt, f"error in the executor: {type(error).__name__}: {error}")


class ChangedExecutableError(TidemillError):
    """Its executable was changed after its checksum was verified."""


def _check_unchanged(attempt: Attempt) -> None:
    """What it executes is the file that was hashed. Raises `ChangedExecutableError`."""
    assert attempt.executable is not None
    assert attempt.directory is not None
    if stamp_of(attempt.directory.executable) != attempt.executable.stamp:
        raise ChangedExecutableError


def confined(attempt: Attempt, confiner: Confiner) -> Spec:
    """Its command behind the steps of its sandbox. Raises `TidemillError` or `OSError`."""
    assert attempt.spec is not None
    assert attempt.directory is not None
    _check_unchanged(attempt)
    by = confiner.confine(attempt.dispatch.confinement, attempt.directory, attempt.number)
    argv = (*by.prefix, *attempt.spec.argv)
    return replace(attempt.spec, argv=argv, steps=by.steps, fds=by.fds, inner=by.inner)


def note_unstored(attempt: Attempt, reason: str) -> None:
    """The attempt's result or checkpoint could not be stored."""
    if has_result(attempt.exited, attempt.directory):
        attempt.result = result_not_stored(reason)
    else:
        attempt.checkpoint = checkpoint_not_stored(attempt.checkpoint, reason)


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
        checkpoint=attempt.checkpoint.uri,
        checkpoint_problem=_reported(attempt, attempt.checkpoint.problem),
        memory_problem=attempt.memory_problem,
        left_problem=exited.left if exited else None,
        disk_problem=attempt.disk_problem,
        pids_problem=attempt.pids_problem,
        peak_memory=attempt.peak_memory,
        cpu_seconds=attempt.cpu_seconds,
        result=attempt.result.result,
        next_nodes=attempt.result.next_nodes,
        result_problem=_reported(attempt, attempt.result.problem),
        result_lost=_reported(attempt, attempt.result.lost),
        result_refused=_reported(attempt, attempt.result.refused),
    )


def described(attempt: Attempt, clock: KeptClock, describe: Describe) -> Ended | Rejected:
    """Its end, also if that cannot be described because of an error in the executor."""
    try:
        return describe(attempt, clock)
    except Exception as error:  # noqa: BLE001 - the owner must learn that it has ended
        _LOG.exception("end broken", **attempt.identity)
        return undescribed(attempt, clock, f"error in the executor: {type(error).__name__}: {error}")


def undescribed(attempt: Attempt, clock: KeptClock, reason: str) -> Ended | Rejected:
    """The least that an owner needs. If the process succeeded, its result is lost, and another attempt may follow."""
    exited, at = attempt.exited, clock.now()
    if exited is None:
        return Rejected(**attempt.identity, at=at, reason=shorten(reason) or "")
    end = Ended(**attempt.identity, at=at, cause=exited.cause, exit_code=exited.code, started_at=None)
    return msgspec.structs.replace(end, result_lost=shorten(reason))


def rejected(attempt: Attempt, clock: KeptClock) -> Rejected:
    return Rejected(**attempt.identity, at=clock.now(), reason=_reported(attempt, attempt.reason) or "")


def untried(attempt: Attempt, chosen: Chosen, clock: KeptClock, metrics: Metrics) -> Expired | Rejected:
    """The event of a claimed dispatch that is not to be run here; it is counted."""
    if chosen.unmet is None:
        metrics.ended(NoProcess.EXPIRED)
        return Expired(**attempt.identity, at=clock.now())
    event = Rejected(**attempt.identity, at=clock.now(), reason=shorten(chosen.unmet) or "", is_unmet=True)
    note_end(attempt, event, metrics)
    return event


def _reported(attempt: Attempt, text: str | None) -> str | None:
    """A sentence for the event, without secrets, and short."""
    return shorten(attempt.masker.mask_text(text) if text and attempt.masker else text)


def shorten(reason: str | None) -> str | None:
    """Limit a reason, which may quote long texts, to valid UTF-8 that leaves room for others in the record."""
    if reason is None:
        return None
    text = reason.encode("utf-8", "replace")
    cut = text[:_MAX_REASON_BYTES].decode("utf-8", "ignore")
    return cut if len(text) <= _MAX_REASON_BYTES else cut + "…"


def note_end(attempt: Attempt, event: Ended | Rejected, metrics: Metrics) -> None:
    """Log the end, and count it."""
    match event:
        case Ended():
            metrics.ended(event.cause)
            if event.left_problem:
                _LOG.error("processes left", **attempt.identity, reason=event.left_problem)
            _LOG.info("ended", **attempt.identity, cause=event.cause.value, exit_code=event.exit_code)
        case Rejected():
            metrics.ended(NoProcess.REJECTED)
            _LOG.warning("rejected", **attempt.identity, reason=event.reason)
        case _:
            assert_never(event)


def step_problem(attempt: Attempt) -> str | None:
    """Why the process did not come to its exec: it could not be confined, and never runs with less."""
    if attempt.spec is None or attempt.exited is None or attempt.exited.failed is None:
        return None
    index, error = attempt.exited.failed
    failure = failure_at(index, attempt.spec.steps, attempt.spec.inner)
    if failure is None:
        return None
    reason = _said(attempt) if index == NOT_ENTERED else os.strerror(error)
    return f"the process could not be confined: {failure}: {reason}"


def _said(attempt: Attempt) -> str:
    assert attempt.output is not None
    attempt.output.read_rest()
    return attempt.output.collected().text.strip()


def exec_problem(attempt: Attempt) -> str | None:
    """A line for the output of a process whose executable could not be executed."""
    if attempt.spec is None or attempt.directory is None or attempt.exited is None or attempt.exited.failed is None:
        return None
    return f"failed to execute {attempt.directory.executable}: {os.strerror(attempt.exited.failed[1])}\n"


def matches(kill: Kill, dispatch: Dispatch) -> bool:
    return (kill.run_id, kill.token) == (dispatch.run_id, dispatch.token)


def nothing(_: Attempt, _reason: str = "") -> None:
    """The acknowledgement of EXPIRED has no effect: an expired dispatch holds no slot."""


# The claim grace and the lease (protocol D4, L1)


def void_at(attempt: Attempt, margin: timedelta) -> float:
    """When its claim is void (CLOCK_BOOTTIME)."""
    if attempt.announced:
        return float("inf")
    return attempt.committed + (attempt.dispatch.claim_grace - margin).total_seconds()


def is_void(attempt: Attempt, margin: timedelta) -> bool:
    return boot_seconds() >= void_at(attempt, margin)


def has_lapsed(attempt: Attempt, margin: timedelta, renewed: float) -> bool:
    """Whether its lease has, after the last acknowledged heartbeat was sent at `renewed`."""
    return boot_seconds() >= renewed + (attempt.dispatch.lease - margin).total_seconds()
