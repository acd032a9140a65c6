"""A worker whose name a member on another machine has: it waits for a dead member, and refuses if the member lives."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.own_name import NameTakenError, OwnName
from streams import unique_name
from streams.groups import LogUnreachableError
from streams.unique_name import ensure_unique_name

OWN = OwnName(name="stream-0", stamp="here", is_chosen=True)
SESSION = timedelta(seconds=6)


class Members:
    """The answers of the group, one per look; the last one repeats."""

    def __init__(self, *answers):
        self._answers = list(answers)

    def stamps_of(self, name):
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return set(answer)


@pytest.fixture
def waited(monkeypatch):
    """A clock that advances only by waiting; returns the time waited."""
    seconds = [0.0]
    monkeypatch.setattr(unique_name.time, "monotonic", lambda: seconds[0])
    monkeypatch.setattr(unique_name.time, "sleep", lambda each: seconds.__setitem__(0, seconds[0] + each))
    return lambda: seconds[0]


@pytest.mark.parametrize("stamps", [(), ("here",)])
def test_a_restart_on_the_same_machine_waits_for_nothing(waited, stamps):
    assert ensure_unique_name(OWN, Members(stamps), SESSION) == OWN
    assert waited() == 0


def test_a_member_of_another_machine_that_is_dead_is_waited_for(waited):
    assert ensure_unique_name(OWN, Members(("there",), ("there",), ()), SESSION) == OWN
    assert 0 < waited() < SESSION.total_seconds()


def test_a_member_that_stays_is_alive_and_the_name_is_refused(waited):
    with pytest.raises(NameTakenError, match="on another machine runs under the same name, 'stream-0'"):
        ensure_unique_name(OWN, Members(("there",)), SESSION)
    assert waited() > SESSION.total_seconds()


def test_a_default_name_in_use_is_replaced(waited):
    made = OwnName(name="host", stamp="here", is_chosen=False)
    found = ensure_unique_name(made, Members(("there",)), SESSION)
    assert found.name.startswith("host-")
    assert waited() == 0


def test_a_silent_coordinator_does_not_prevent_a_start(waited):
    assert ensure_unique_name(OWN, Members(LogUnreachableError("away")), SESSION) == OWN
