"""Explains why a job or DAG has no run at a time, from its versions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import msgspec

from schemas.ids import occurrence_run_id
from schemas.job import JobSpec
from schemas.words import DstGap
from tidemill.explain.history import (
    History,
    Moment,
    Version,
    in_force,
    is_due,
    last_before,
    newest_spec,
    next_due,
    paused_since,
    plan_of,
)
from tidemill.explain.telling import Explanation, Fact, Local, lasted, newest_first
from tidemill.target import Row
from tidemill.time import TICK, Plan, note, upcoming

JUST_NOW = timedelta(seconds=10)
"""A run that was due this recently may not be in the database yet."""
LONG_TRANSACTION = timedelta(hours=1)
"""Longer transactions are not considered."""
LONG_AGO = timedelta(days=1)
"""A run that was due longer ago may have been pruned."""


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """A time without a run, and what else is known about that time."""

    owner: str
    moment: Moment
    now: datetime
    history: History
    problem: Row | None = None
    """The newest problem that reports the owner as quarantined."""
    finished: Row | None = None
    """The occurrence that was skipped because max_runs was reached."""
    week_is_kept: bool = True
    """Whether runs of that week are kept that did not fail."""

    @property
    def at(self) -> datetime:
        return self.moment.instant

    @property
    def local(self) -> Local:
        spec = newest_spec(self.history)
        return Local(spec.timezone if spec else "UTC")

    @property
    def said(self) -> str:
        return self.local.said(self.at)


def why_no_run(seen: Nothing) -> Explanation:
    index = in_force(seen.history, min(seen.at, seen.now))
    if index is None:
        return _did_not_exist(seen)
    version = seen.history[index]
    if version.spec is None:
        return _was_deleted(seen, index)
    plan = plan_of(version.spec)
    if plan is None:
        return _told(
            seen,
            "on_request",
            f"{seen.owner} had no schedule at {seen.said}: it runs only on request.",
            to_do=[f"tidemill runs --job {seen.owner} shows the requested runs"],
        )
    rules: tuple[Callable[[], Explanation | None], ...] = (
        partial(_outside_life, seen, version.spec),
        partial(_no_occurrence, seen, version.spec, plan),
        partial(_paused, seen, index, version.spec),
        partial(_to_come, seen, plan),
        partial(_finished, seen, version),
        partial(_quarantined, seen, version),
    )
    return next((found for rule in rules if (found := rule())), None) or _missing(seen, version, plan)


def _told(
    seen: Nothing, answer: str, sentence: str, facts: list[Fact] | None = None, to_do: list[str] | None = None
) -> Explanation:
    return Explanation(
        about=seen.owner,
        nominal_time=seen.at,
        timezone=seen.local.timezone,
        answer=answer,
        sentence=sentence,
        facts=newest_first(facts or []),
        to_do=tuple(to_do or ()),
    )


def _did_not_exist(seen: Nothing) -> Explanation:
    first = seen.history[0].valid_from
    sentence = f"{seen.owner} did not exist at {seen.said}: its oldest kept version is of {seen.local.said(first)}."
    return _told(seen, "did_not_exist", sentence, to_do=_backfill(seen))


def _was_deleted(seen: Nothing, index: int) -> Explanation:
    facts = [Fact(name="deleted", at=seen.history[index].valid_from, sentence="It was deleted.")]
    if index + 1 < len(seen.history):
        facts.append(Fact(name="made_again", at=seen.history[index + 1].valid_from, sentence="It was made again."))
    when = seen.local.said(seen.history[index].valid_from)
    return _told(seen, "deleted", f"{seen.owner} did not exist at {seen.said}: it was deleted at {when}.", facts)


def _outside_life(seen: Nothing, spec: JobSpec) -> Explanation | None:
    if spec.starts_at and seen.at < spec.starts_at:
        begin = seen.local.said(spec.starts_at)
        return _told(seen, "before_start", f"{seen.owner} starts later than {seen.said}: starts_at is {begin}.")
    if spec.ends_at and seen.at >= spec.ends_at:
        end = seen.local.said(spec.ends_at)
        sentence = f"{seen.owner} had ended by {seen.said}: ends_at is {end}."
        return _told(seen, "after_end", sentence, to_do=["a later ends_at, or null, lets it continue"])
    return None


def _no_occurrence(seen: Nothing, spec: JobSpec, plan: Plan) -> Explanation | None:
    if is_due(plan, seen.at) and (seen.moment.left_out is None or note(plan, seen.at).startswith("shifted")):
        return None
    # If the local time does not exist, the instant is the clock change and not the time of the user.
    from_then = seen.at - TICK if seen.moment.left_out else seen.at
    before, after = last_before(plan, seen.at), next(iter(upcoming(plan, from_then, 1)), None)
    near = [("before", before), ("after", after)]
    facts = [_nearest(seen, plan, name, each) for name, each in near if each]
    schedule = f"its schedule {spec.schedule!r} in {spec.timezone}"
    if seen.moment.left_out:
        rule = ", and dst_gap is 'skip'" if spec.dst_gap is DstGap.SKIP else ""
        sentence = f"{seen.owner} was not due at {seen.moment.left_out}: the clock skips this time on that day{rule}."
        return _told(seen, "no_occurrence", sentence, facts)
    sentence = f"{seen.owner} was not due at {seen.said}: {schedule} has no such time."
    if seen.at > seen.now:
        sentence = f"{seen.owner} will not be due at {seen.said}: {schedule} has no such time."
    return _told(seen, "no_occurrence", sentence, facts)


def _nearest(seen: Nothing, plan: Plan, name: str, instant: datetime) -> Fact:
    change = note(plan, instant)
    sentence = f"The nearest occurrence {name} that time{f' ({change})' if change else ''}."
    run_id = occurrence_run_id(seen.owner, instant)
    return Fact(name=f"nearest_{name}", at=instant, sentence=sentence, data={"run_id": run_id, "note": change})


def _paused(seen: Nothing, index: int, spec: JobSpec) -> Explanation | None:
    if not spec.paused:
        return None
    since = paused_since(seen.history, index)
    why = f": {spec.paused_note}" if spec.paused_note else ""
    facts = [Fact(name="paused", at=since, sentence=f"It was paused{why}.", data={"note": spec.paused_note})]
    if index + 1 < len(seen.history):
        facts.append(Fact(name="changed", at=seen.history[index + 1].valid_from, sentence="It was changed after that."))
        return _told(seen, "paused", f"{seen.owner} did not run at {seen.said}: it was paused{why}.", facts)
    resume = f"tidemill {_kind(seen)} resume {seen.owner}"
    verb = "will not run" if seen.at > seen.now else "did not run"
    sentence = f"{seen.owner} {verb} at {seen.said}: it has been paused since {seen.local.said(since)}{why}."
    return _told(
        seen,
        "paused",
        sentence,
        facts,
        [f"{resume} resumes it; --catchup latest (or all) also runs what was due during the pause"],
    )


def _to_come(seen: Nothing, plan: Plan) -> Explanation | None:
    change = note(plan, seen.at)
    facts = [Fact(name="clock_change", sentence=f"On that day, {change}.")] if change else []
    if seen.at > seen.now:
        sentence = f"{seen.owner} is due at {seen.said}, in {lasted(_seconds(seen.at - seen.now))}."
        return _told(seen, "to_come", sentence, facts)
    if seen.at > seen.now - JUST_NOW:
        sentence = f"{seen.owner} was due a moment ago, at {seen.said}, and its run is not in the database yet."
        return _told(seen, "just_due", sentence, facts, ["repeat the command in a few seconds"])
    return None


def _finished(seen: Nothing, version: Version) -> Explanation | None:
    if seen.finished is None or version.spec is None or version.spec.max_runs is None:
        return None
    at = seen.finished["nominal_time"]
    facts = [Fact(name="finished", at=at, sentence=f"This occurrence was skipped: {seen.finished['reason']}.")]
    sentence = f"{seen.owner} did not run at {seen.said}: max_runs ({version.spec.max_runs}) was reached."
    return _told(seen, "max_runs", sentence, facts, ["a greater max_runs, or null, allows more runs"])


def _quarantined(seen: Nothing, version: Version) -> Explanation | None:
    if seen.problem is None or not version.valid_from <= seen.problem["at"]:
        return None
    facts = [Fact(name="quarantined", at=seen.problem["at"], sentence=f"{seen.problem['reason']}.")]
    sentence = f"{seen.owner} did not run at {seen.said}: its schedule could not be decided."
    return _told(seen, "quarantined", sentence, facts, ["after any change of its row, the streams try it again"])


def _missing(seen: Nothing, version: Version, plan: Plan) -> Explanation:
    change = note(plan, seen.at)
    facts = [Fact(name="clock_change", sentence=f"On that day, {change}.")] if change else []
    if seen.at - version.valid_from < LONG_TRANSACTION:
        sentence = "Its version was written; if its transaction was long, the version is valid from the commit."
        facts.append(Fact(name="written", at=version.valid_from, sentence=sentence))
    if seen.at < seen.now - LONG_AGO and not seen.week_is_kept:
        sentence = (
            f"{seen.owner} was due at {seen.said}, and the database has nothing about it: the history of that week is "
            "not kept any more, or the occurrence was never decided."
        )
        return _told(seen, "not_kept", sentence, facts, _backfill(seen))
    sentence = (
        f"{seen.owner} was due at {seen.said} and should have run, but its run is not in the database: it is not "
        "decided yet, or the decision has not reached the database."
    )
    return _told(seen, "not_there", sentence, facts, ["tidemill doctor finds the part that does not work"])


def next_one(owner: str, history: History, now: datetime, local: Local) -> Fact:
    """When the job or DAG is due next, or why it is not."""
    newest = history[-1].spec
    following = next_due(history, now)
    if newest is None:
        return Fact(name="next", sentence="Next: never, it is deleted.")
    if newest.schedule is None:
        return Fact(name="next", sentence="Next: only on request, it has no schedule.")
    if following is None:
        return Fact(name="next", sentence="Next: never, its schedule or its ends_at is in the past.")
    paused = ", but it is paused" if newest.paused else ""
    sentence = f"Next: {owner} is due at {local.said(following)}, in {lasted(_seconds(following - now))}{paused}."
    return Fact(name="next", at=following, sentence=sentence)


def _seconds(duration: timedelta) -> timedelta:
    return timedelta(seconds=max(1, round(duration.total_seconds())))


def _kind(seen: Nothing) -> str:
    return "dag" if seen.history[-1].is_dag else "job"


def _backfill(seen: Nothing) -> list[str]:
    newest = seen.history[-1].spec
    if newest is None or newest.schedule is None or seen.at > seen.now:
        return []
    return [f"{backfill_of(seen.owner, seen.at, seen.at)} runs what its current schedule has at that time"]


def backfill_of(owner: str, first: datetime, last: datetime) -> str:
    end = last + timedelta(seconds=1)
    return f"tidemill backfill {owner} --from {first:%Y-%m-%dT%H:%M:%SZ} --to {end:%Y-%m-%dT%H:%M:%SZ}"
