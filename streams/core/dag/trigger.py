"""Trigger rules: whether a node starts, waits or never runs, by the ends of its dependencies (docs/dags.md)."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import assert_never

import msgspec

from schemas.words import RunState, TriggerRule


class NodeDecision(Enum):
    WAIT = "wait"
    START = "start"
    SKIP = "skipped"
    UPSTREAM_FAILED = "upstream_failed"

    __hash__ = object.__hash__


class Outcome(Enum):
    """What the end of a node means for dependent nodes."""

    SUCCEEDED = 0
    FAILED = 1
    SKIPPED = 2
    UPSTREAM_FAILED = 3

    __hash__ = object.__hash__


OUTCOME: dict[RunState, Outcome] = {
    RunState.SUCCEEDED: Outcome.SUCCEEDED,
    RunState.FAILED: Outcome.FAILED,
    RunState.TIMED_OUT: Outcome.FAILED,
    RunState.DEAD: Outcome.FAILED,
    RunState.CANCELLED: Outcome.FAILED,
    RunState.SKIPPED: Outcome.SKIPPED,
    RunState.MISSED: Outcome.SKIPPED,
    RunState.UPSTREAM_FAILED: Outcome.UPSTREAM_FAILED,
}
"""By final state."""


class Ends(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How many dependencies a node has, and how many ended with which outcome."""

    needed: int
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    upstream_failed: int = 0

    @property
    def broken(self) -> int:
        return self.failed + self.upstream_failed

    @property
    def is_done(self) -> bool:
        return self.succeeded + self.failed + self.skipped + self.upstream_failed == self.needed


def decide_node(rule: TriggerRule, ends: Ends) -> NodeDecision:
    """A decision other than WAIT is final and does not depend on the order of the ends.

    Three rules start a node before all its dependencies have ended. All other decisions wait for the last end;
    otherwise the result would depend on whether a skip or a failure comes first.
    """
    if ends.needed == 0 or rule is TriggerRule.ALWAYS or _starts_early(rule, ends):
        return NodeDecision.START
    return _when_done(rule, ends) if ends.is_done else NodeDecision.WAIT


def can_be_early(rule: TriggerRule) -> bool:
    """Whether the rule may start a node before all its dependencies have ended."""
    return rule in _EARLY


_EARLY = frozenset({TriggerRule.ONE_SUCCESS, TriggerRule.ONE_FAILED, TriggerRule.ONE_DONE, TriggerRule.ALWAYS})


def _starts_early(rule: TriggerRule, ends: Ends) -> bool:
    match rule:
        case TriggerRule.ONE_SUCCESS:
            return ends.succeeded > 0
        case TriggerRule.ONE_FAILED:
            return ends.broken > 0
        case TriggerRule.ONE_DONE:
            return ends.succeeded + ends.failed > 0
        case _:
            return False


def _when_done(rule: TriggerRule, ends: Ends) -> NodeDecision:  # noqa: C901, PLR0911 - a table
    """The decision after all dependencies have ended, if no rule started the node early."""
    match rule:
        case TriggerRule.ALL_SUCCESS:
            return _unless_broken(ends, or_skip=ends.skipped > 0)
        case TriggerRule.ALL_FAILED:
            return _or_skip(ends.broken == ends.needed)
        case TriggerRule.ALL_DONE | TriggerRule.ALWAYS:
            return NodeDecision.START
        case TriggerRule.ONE_SUCCESS:
            return _unless_broken(ends, or_skip=True)
        case TriggerRule.ONE_FAILED | TriggerRule.ONE_DONE:
            return NodeDecision.SKIP
        case TriggerRule.NONE_FAILED:
            return _unless_broken(ends, or_skip=False)
        case TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS:
            return _unless_broken(ends, or_skip=ends.succeeded == 0)
        case TriggerRule.NONE_SKIPPED:
            return _or_skip(ends.skipped == 0)
        case TriggerRule.ALL_SKIPPED:
            return _or_skip(ends.skipped == ends.needed)
        case TriggerRule.ALL_DONE_MIN_ONE_SUCCESS:
            return NodeDecision.START if ends.succeeded else _unless_broken(ends, or_skip=True)
        case _:
            assert_never(rule)


def _starts_of_successes() -> Iterator[TriggerRule]:
    return (rule for rule in TriggerRule if decide_node(rule, Ends(needed=1, succeeded=1)) is NodeDecision.START)


def _or_skip(holds: bool) -> NodeDecision:  # noqa: FBT001 - the condition itself
    return NodeDecision.START if holds else NodeDecision.SKIP


def _unless_broken(ends: Ends, *, or_skip: bool) -> NodeDecision:
    if ends.broken:
        return NodeDecision.UPSTREAM_FAILED
    return NodeDecision.SKIP if or_skip else NodeDecision.START


START_OF_SUCCESSES = frozenset(_starts_of_successes())
"""Rules that start a node if all its dependencies succeeded: a shortcut for the usual case."""
