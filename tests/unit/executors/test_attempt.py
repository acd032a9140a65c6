"""The table of an attempt's life."""

from __future__ import annotations

import itertools

import pytest

from executors.attempt import TRANSITIONS, Act, Fact, Phase, advance


def walk(*facts):
    """The actions along a sequence of facts, and the last phase."""
    phase, acts = Phase.CLAIMED, []
    for fact in facts:
        phase, act = advance(phase, fact)
        acts.append(act)
    return phase, acts


def test_a_cached_executable_runs_without_a_claimed_event():
    phase, acts = walk(Fact.CACHED, Fact.ACKNOWLEDGED, Fact.SPAWNED, Fact.EXITED)
    assert phase is Phase.ENDED
    assert acts == [Act.START, Act.SPAWN, Act.NOTE, Act.REPORT]


def test_an_executable_is_fetched_only_after_the_claim_is_reported():
    _, acts = walk(Fact.ABSENT, Fact.ACKNOWLEDGED, Fact.CACHED, Fact.ACKNOWLEDGED)
    assert acts == [Act.ANNOUNCE, Act.FETCH, Act.START, Act.SPAWN]


@pytest.mark.parametrize("way", [(), (Fact.ABSENT,), (Fact.CACHED,)])
def test_a_void_claim_never_leads_to_a_process(way):
    phase, acts = walk(*way, Fact.LATE)
    assert phase is Phase.ENDED
    assert acts[-1] in (Act.FORGET, Act.GIVE_UP)


def test_a_process_is_spawned_only_after_started_is_acknowledged():
    assert [key for key, (_, act) in TRANSITIONS.items() if act is Act.SPAWN] == [(Phase.STARTED, Fact.ACKNOWLEDGED)]


def test_no_fact_changes_an_ended_attempt():
    assert not [fact for fact in Fact if (Phase.ENDED, fact) in TRANSITIONS]


def test_a_stop_can_be_requested_in_every_phase_but_the_end():
    assert all((phase, Fact.STOP_REQUESTED) in TRANSITIONS for phase in Phase if phase is not Phase.ENDED)


@pytest.mark.parametrize("way", [(), (Fact.ABSENT,), (Fact.ABSENT, Fact.ACKNOWLEDGED), (Fact.CACHED,)])
def test_an_attempt_that_is_stopped_before_its_order_to_spawn_never_starts(way):
    phase, acts = walk(*way, Fact.STOP_REQUESTED)
    assert (phase, acts[-1]) == (Phase.ENDED, Act.GIVE_UP)
    assert not {Act.SPAWN, Act.KILL} & set(walk(*way, Fact.STOP_REQUESTED, *Fact)[1])


def test_an_attempt_that_is_stopped_ends_when_its_process_has_ended():
    way = (Fact.CACHED, Fact.ACKNOWLEDGED, Fact.STOP_REQUESTED, Fact.SPAWNED, Fact.STOP_REQUESTED, Fact.EXITED)
    assert walk(*way) == (Phase.ENDED, [Act.START, Act.SPAWN, Act.KILL, Act.NOTE, Act.KILL, Act.REPORT])


def test_any_sequence_of_facts_ends_at_most_once():
    ends = {Act.REPORT, Act.GIVE_UP, Act.REJECT, Act.FORGET}
    for way in itertools.product(Fact, repeat=5):
        _, acts = walk(*way)
        assert sum(act in ends for act in acts) <= 1
        assert acts.count(Act.SPAWN) <= 1


def test_a_late_fact_changes_nothing():
    assert advance(Phase.RUNNING, Fact.ACKNOWLEDGED) == (Phase.RUNNING, None)
