"""Explains one run: when it was due, what it waited for, its attempts, how it ended, and what to do."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, assert_never

import msgspec

from schemas.exit_codes import exit_code_in_words
from schemas.ids import dag_run_of, occurrence_run_id
from schemas.job import JobSpec
from schemas.reasons import HOLDING, OF_ATTEMPTS, ReasonCode
from schemas.words import NEVER_RAN, OPEN_STATES, RunKind, RunState
from tidemill.explain.nodes import dag_facts, node_facts, waits_for
from tidemill.explain.reasons import (
    SAYS_HOW,
    InTheWay,
    advice_on_failure,
    advice_on_open,
    advice_on_skip,
    fact_of,
    why_skipped,
)
from tidemill.explain.telling import NOTICEABLE, Explanation, Fact, Local, lasted, listed, newest_first, used
from tidemill.target import Row


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A run with everything that the database has about it."""

    run: Row
    now: datetime
    timezone: str
    attempts: list[Row] = []
    transitions: list[Row] = []
    nodes: list[Row] = []
    """The nodes of the DAG run, or of the DAG run that a node's run belongs to."""
    open_runs: list[Row] = []
    """Open runs of the same job or DAG, nodes' runs excluded."""
    spec: JobSpec | None = None
    """The definition that the run uses; None: it is not kept."""
    in_the_way: InTheWay | None = None
    asked_at: datetime | None = None
    """The occurrence to explain, if the row stands for several."""

    @property
    def state(self) -> RunState:
        return RunState(self.run["state"])

    @property
    def kind(self) -> RunKind:
        return RunKind(self.run["kind"])

    def said(self, instant: datetime) -> str:
        return Local(self.timezone).said(instant)


def story(seen: Seen) -> Explanation:
    facts = [*_birth(seen), *_changes(seen)]
    for attempt in seen.attempts:
        facts += _attempt(seen, attempt)
    facts += _end(seen)
    facts += [fact_of(seen.in_the_way, Local(seen.timezone))] if seen.in_the_way else []
    facts += node_facts(seen.nodes, seen.run) if seen.kind is RunKind.NODE else []
    facts += dag_facts(seen.nodes) if seen.kind is RunKind.DAG else []
    return Explanation(
        about=seen.run["run_id"],
        nominal_time=seen.asked_at or seen.run["nominal_time"],
        timezone=seen.timezone,
        answer=seen.state.value,
        reason_code=seen.run["reason_code"],
        sentence=f"{_subject(seen)} {_answer(seen)}.",
        facts=newest_first(facts),
        to_do=tuple(_to_do(seen)),
    )


def _subject(seen: Seen) -> str:
    run_id, count = seen.run["run_id"], seen.run["missed_count"]
    if seen.asked_at is None or count == 1:
        return str(run_id)
    return f"{occurrence_run_id(seen.run['job_id'], seen.asked_at)}, one of the {count} occurrences of {run_id},"


def _answer(seen: Seen) -> str:
    run, state = seen.run, seen.state
    if state in NEVER_RAN:
        return f"did not run: {why_skipped(run)}"
    if state is RunState.QUEUED:
        return f"has not {'continued' if run['started_at'] else 'started'} yet: {_waiting(seen)}"
    reason = f": {run['reason']}" if run["reason"] else ""
    if state in OPEN_STATES:
        since = f", since {seen.said(run['started_at'])}{_late(seen)}" if run["started_at"] else ""
        return {
            RunState.RUNNING: f"is running{since}",
            RunState.RETRY_WAIT: f"waits before its next attempt{reason}",
            RunState.CANCELLING: f"was requested to stop, and its exit is not confirmed yet{reason}",
        }[state]
    if state is RunState.SUCCEEDED:
        return f"ran and succeeded{_late(seen)}"
    ran = "ran, and " if run["started_at"] else "never started, and "
    was = {RunState.CANCELLED: "was ", RunState.DEAD: "was given up as "}.get(state, "")
    ended = state.value.replace("_", " ")
    said = run["reason"] if (state, run["reason_code"]) in SAYS_HOW else ended + reason
    return f"{ran}{was}{said}"


def _first_start(seen: Seen) -> datetime | None:
    found: datetime | None = next(
        (each["started_at"] for each in seen.attempts if each["started_at"]), seen.run["started_at"]
    )
    return found


def _late(seen: Seen) -> str:
    """The delay of the start: for a node, from ready to started. Backfilled runs and reruns are not late."""
    started = _first_start(seen)
    if started is None or seen.kind is RunKind.BACKFILLED or seen.run["rerun_id"]:
        return ""
    due = seen.run["queued_at"] if seen.kind is RunKind.NODE else seen.run["scheduled_time"]
    late = started - due
    since = "it was ready" if seen.kind is RunKind.NODE else "it was due"
    return f"; it started {lasted(late)} after {since}" if late >= timedelta(0) else ""


def _birth(seen: Seen) -> list[Fact]:
    run = seen.run
    if run["missed_count"]:
        return _range(seen)
    due = _why_due(seen)
    facts = [Fact(name="due", at=run["nominal_time"], sentence=due)]
    jitter = run["scheduled_time"] - run["nominal_time"]
    if jitter:
        facts.append(Fact(name="jitter", at=run["scheduled_time"], sentence=f"Its jitter of {lasted(jitter)} ended."))
    return facts + _decided_late(seen)


def _why_due(seen: Seen) -> str:
    run, kind = seen.run, seen.kind
    match kind:
        case RunKind.NODE:
            return f"Its DAG run {dag_run_of(run['run_id'])} was due."
        case RunKind.BACKFILLED | RunKind.DAG if _is_backfilled(run) or kind is RunKind.BACKFILLED:
            return f"It was due by its schedule; the backfill {run['request_id']} requested it."
        case RunKind.REQUESTED | RunKind.DAG if run["request_id"]:
            return f"It was requested for this time, by request {run['request_id']}."
        case RunKind.SCHEDULED | RunKind.DAG | RunKind.BACKFILLED:
            return "It was due by its schedule."
        case RunKind.BACKFILL | RunKind.REQUESTED:
            return "It was requested."
        case _:
            assert_never(kind)


def _is_backfilled(run: Row) -> bool:
    """A backfilled DAG run has the same request_id and rerun_id."""
    return run["request_id"] is not None and run["rerun_id"] == run["request_id"]


def _decided_late(seen: Seen) -> list[Fact]:
    run = seen.run
    if not run["queued_at"] or seen.kind in {RunKind.NODE, RunKind.BACKFILLED} or run["rerun_id"]:
        return []
    late = run["queued_at"] - run["nominal_time"]
    if late < NOTICEABLE:
        return []
    sentence = f"It was decided {lasted(late)} late: {_why_late(seen)}."
    return [Fact(name="decided_late", at=run["queued_at"], sentence=sentence, data={"late": late})]


def _why_late(seen: Seen) -> str:
    run = seen.run
    if run["request_id"]:
        return "the request reached the streams only then"
    if seen.spec and seen.spec.resumed_at and run["nominal_time"] <= seen.spec.resumed_at <= run["queued_at"]:
        return "its pause ended then"
    return "no stream worker decided its partition earlier, or a change of its definition arrived late"


def _range(seen: Seen) -> list[Fact]:
    run = seen.run
    most = "at least " if run["missed_at_least"] else ""
    sentence = f"This record stands for {most}{run['missed_count']} occurrences, up to {seen.said(run['missed_to'])}."
    facts = [Fact(name="range", at=run["missed_from"], sentence=sentence, data={"count": run["missed_count"]})]
    decided = seen.transitions[-1]["at"] if seen.transitions else None
    return (
        [*facts, Fact(name="decided", at=decided, sentence="It was decided that they do not run.")]
        if decided
        else facts
    )


def _changes(seen: Seen) -> list[Fact]:
    """The state changes of its history, other than those of its attempts."""
    facts = []
    held_since: datetime | None = None
    for change in seen.transitions:
        state, code = RunState(change["state"]), change["reason_code"]
        if state is RunState.QUEUED and code and (code not in OF_ATTEMPTS or code == ReasonCode.NO_CAPABLE_EXECUTOR):
            facts.append(_queued(seen, change))
            held_since = change["at"] if code in HOLDING else None
        elif state is RunState.QUEUED and held_since:
            waited = lasted(change["at"] - held_since)
            sentence = f"Its wait ended after {waited}."
            facts.append(Fact(name="let_go", at=change["at"], sentence=sentence))
            held_since = None
        elif state is RunState.RETRY_WAIT:
            facts.append(Fact(name="retry_wait", at=change["at"], sentence="It waits before its next attempt."))
        elif state is RunState.CANCELLING:
            sentence = f"It was requested to stop: {change['reason']}."
            facts.append(Fact(name="cancelling", at=change["at"], sentence=sentence, data={"reason_code": code}))
    return facts


def _queued(seen: Seen, change: Row) -> Fact:
    text, code = change["reason"], change["reason_code"]
    match code:
        case ReasonCode.CLASS_LEARNED:
            first_class = seen.attempts[0]["timeout_class"] if seen.attempts else seen.run["timeout_class"]
            said, name = f"It started in the class {first_class}, by the history of the job: {text}.", "learned_class"
        case ReasonCode.OVERLAP_WAITING | ReasonCode.MAX_ACTIVE_EPOCHS:
            said, name = f"It {text} ({code}).", "held"
        case ReasonCode.NO_CAPABLE_EXECUTOR:
            said, name = f"It could not be dispatched: {text.partition(': ')[2]}.", "no_capable_executor"
        case ReasonCode.BACKFILL if seen.kind is not RunKind.BACKFILL:
            said, name = f"The {text} queued it.", "backfilled"
        case ReasonCode.RERUN_BY_REQUEST:
            said, name = f"It was {text}.", "rerun"
        case _:
            said, name = f"{text[:1].upper()}{text[1:]}.", "queued"
    return Fact(name=name, at=change["at"], sentence=said, data={"reason_code": code})


def _attempt(seen: Seen, attempt: Row) -> list[Fact]:
    number, name = attempt["attempt"], attempt["timeout_class"]
    facts = [*_dispatched(seen, attempt)]
    if attempt["claimed_at"]:
        sentence = f"{attempt['executor_id']} claimed attempt {number}, and fetched its executable."
        facts.append(Fact(name="claimed", at=attempt["claimed_at"], sentence=sentence))
    if attempt["started_at"]:
        why = f" ({_why_class(seen.spec, name)})" if attempt is seen.attempts[0] and not _learned(seen) else ""
        sentence = f"Attempt {number} started on {attempt['executor_id']}, in the class {name}{why}{_waits(attempt)}."
        data = {"attempt": number, "timeout_class": name, "executor_id": attempt["executor_id"]}
        facts.append(Fact(name="started", at=attempt["started_at"], sentence=sentence, data=data))
    if attempt["ended_as"]:
        facts.append(_attempt_end(seen, attempt))
    return facts


def _dispatched(seen: Seen, attempt: Row) -> list[Fact]:
    """Why the run waited in its owner's queue, if it waited noticeably."""
    before = [each["at"] for each in seen.transitions if each["at"] <= attempt["dispatched_at"]]
    waited = attempt["dispatched_at"] - max([*before, seen.run["scheduled_time"]])
    if waited < NOTICEABLE:
        return []
    name = attempt["timeout_class"]
    sentence = (
        f"It was dispatched after {lasted(waited)} in the queue: no executor of the class {name} had a free slot."
    )
    if _last_code(seen, attempt["dispatched_at"]) == ReasonCode.NO_CAPABLE_EXECUTOR:
        sentence = f"It was dispatched {lasted(waited)} later, to an executor that gives what it asks for."
    if seen.kind is RunKind.BACKFILLED:
        sentence = f"It was dispatched after {lasted(waited)} in the queue: live runs go before a backfill."
    return [Fact(name="dispatched_late", at=attempt["dispatched_at"], sentence=sentence, data={"waited": waited})]


def _waits(attempt: Row) -> str:
    """The noticeable waits between dispatch and start: for a slot, and for the executable."""
    taken = attempt["claimed_at"] or attempt["started_at"]
    parts = [(taken - attempt["dispatched_at"], "for a slot"), (attempt["started_at"] - taken, "for its executable")]
    noticed = [f"{lasted(waited)} {what}" for waited, what in parts if waited >= NOTICEABLE]
    return f"; it had waited {' and '.join(noticed)}" if noticed else ""


def _attempt_end(seen: Seen, attempt: Row) -> Fact:
    number, word = attempt["attempt"], attempt["ended_as"]
    took = attempt["finished_at"] - attempt["started_at"] if attempt["finished_at"] and attempt["started_at"] else None
    exit_code = attempt["exit_code"]
    reason = attempt["reason"] or (exit_code_in_words(exit_code) if exit_code else None)
    after = f" after {lasted(took)}" if took is not None else ""
    what = used(attempt)
    verb = word.replace("_", " ") if word in {"succeeded", "failed", "timed_out", "expired"} else f"was {word}"
    sentence = f"Attempt {number} {verb}{after}{f', with {what}' if what else ''}{f': {reason}' if reason else ''}."
    data: dict[str, Any] = {"attempt": number, "ended_as": word, "exit_code": exit_code, "took": took}
    data |= {name: attempt[name] for name in ("reason_code", "cpu_seconds", "peak_memory")}
    at = attempt["finished_at"] or _judged_at(seen, attempt) or attempt["dispatched_at"]
    return Fact(name="attempt_ended", at=at, sentence=sentence, data=data)


def _last_code(seen: Seen, before: datetime) -> str | None:
    """The code of its last transition up to then."""
    found: str | None = next((each["reason_code"] for each in reversed(seen.transitions) if each["at"] <= before), None)
    return found


def _judged_at(seen: Seen, attempt: Row) -> datetime | None:
    """When the end was decided, if no executor reported it."""
    code = attempt["reason_code"]
    after = (each for each in seen.transitions if each["at"] > attempt["dispatched_at"])
    return next((each["at"] for each in after if code and each["reason_code"] == code), None)


def _learned(seen: Seen) -> bool:
    return any(each["reason_code"] == ReasonCode.CLASS_LEARNED for each in seen.transitions)


def _why_class(spec: JobSpec | None, name: str) -> str:
    if spec is None:
        return "the definition that it used is not kept"
    if spec.timeout_class == name:
        return "its timeout_class"
    if spec.timeout:
        return f"the smallest class for its timeout of {lasted(spec.timeout)}"
    if not spec.promote or (spec.max_attempts == 1 and spec.max_infra_retries == 0):
        return "the longest class: it must not be stopped for a promotion"
    return "the smallest class: it has no timeout"


def _end(seen: Seen) -> list[Fact]:
    """The end of the run, if the last attempt's end does not show it."""
    run, state = seen.run, seen.state
    if (
        not state.is_final
        or run["missed_count"]
        or not run["finished_at"]
        or (state is RunState.SUCCEEDED and seen.attempts)
    ):
        return []
    at = seen.transitions[-1]["at"] if seen.transitions else run["finished_at"]
    if state in NEVER_RAN:
        late = at - (run["queued_at"] or run["scheduled_time"])
        so_late = f", {lasted(late)} late" if late >= NOTICEABLE and seen.kind is not RunKind.NODE else ""
        return [Fact(name="decided", at=at, sentence=f"It was decided that it does not run{so_late}.")]
    reason = f": {run['reason']}" if run["reason"] else ""
    return [Fact(name="ended", at=at, sentence=f"It ended as {state.value}{reason}.")]


def _waiting(seen: Seen) -> str:
    run = seen.run
    if run["scheduled_time"] > seen.now:
        return f"its time is {seen.said(run['scheduled_time'])}, in {lasted(run['scheduled_time'] - seen.now)}"
    last = seen.attempts[-1] if seen.attempts else None
    if last and not last["ended_as"]:
        return _unstarted(seen, last)
    if run["reason_code"] in HOLDING:
        others = [f"{each['run_id']} ({each['state']})" for each in seen.open_runs if each["run_id"] != run["run_id"]]
        return f"it {run['reason']}{f'; open runs: {listed(others)}' if others else ''}"
    if run["reason_code"] == ReasonCode.NO_CAPABLE_EXECUTOR:
        return f"it {run['reason']}"
    return _for_room(seen)


def _for_room(seen: Seen) -> str:
    run = seen.run
    if seen.kind is RunKind.BACKFILLED or _is_backfilled(run):
        return "its backfill runs at most max_active_runs at a time, and live runs go first"
    if seen.kind is RunKind.NODE and (needed := waits_for(seen.nodes, run["node_id"])):
        return f"it waits for {needed}"
    if seen.kind is RunKind.DAG:
        return "the stream worker has not opened it yet"
    name = run["timeout_class"]
    return (
        f"all slots of the class {name} are in use, no executor has that class, or the pace of its catch-up limits it"
    )


def _unstarted(seen: Seen, attempt: Row) -> str:
    name = attempt["timeout_class"]
    if attempt["claimed_at"]:
        since = seen.said(attempt["claimed_at"])
        return f"{attempt['executor_id']} has claimed it and fetches its executable, since {since}"
    waited = lasted(seen.now - attempt["dispatched_at"])
    why = "no executor has a free slot, or no executor answers"
    return f"it was dispatched to the class {name} {waited} ago, and no executor has started it: {why}"


def _to_do(seen: Seen) -> list[str]:
    run, state = seen.run, seen.state
    if state in NEVER_RAN:
        return advice_on_skip(run, seen.asked_at, seen.nodes, seen.in_the_way)
    if state is RunState.QUEUED:
        return _to_do_meanwhile(seen) if run["scheduled_time"] <= seen.now else []
    if state is RunState.RETRY_WAIT:
        return [advice_on_open(run)]
    if state in {RunState.FAILED, RunState.DEAD, RunState.TIMED_OUT}:
        return advice_on_failure(run, seen.nodes)
    return []


def _to_do_meanwhile(seen: Seen) -> list[str]:
    run = seen.run
    if run["reason_code"] in HOLDING:
        return [advice_on_open(each) for each in seen.open_runs if each["run_id"] != run["run_id"]][:1]
    if run["reason_code"] == ReasonCode.NO_CAPABLE_EXECUTOR:
        return ["tidemill status shows what each executor gives; start one that can, or let the job ask for less"]
    if seen.kind is RunKind.BACKFILLED or _is_backfilled(run):
        return [f"tidemill backfills --job {run['job_id']} shows its progress"]
    return ["tidemill status shows the executors, their free slots, and the lag"]
