"""Hostile attempts to outlive an attempt: all that it started is gone before its end is reported."""

from __future__ import annotations

from schemas.confinement import Sandbox
from schemas.event import Ended
from tests.support.hostile.attempts import hostile
from tests.support.hostile.inside import LIBC, become_orphan, every, os, signal, stay, sys

WHY = "the end is reported after the fact in no other mode"


def _all_are_gone(house, outcome):
    assert isinstance(outcome.end, Ended), outcome.end
    assert outcome.survivors == []
    assert house.key.sandbox is not Sandbox.NONE


def _survives(**changes):
    return hostile(shown_as=None, why=WHY, check=_all_are_gone, **changes)


@_survives()
def test_a_process_does_not_survive_with_a_session_of_its_own(target):
    if become_orphan():
        stay()


@_survives()
def test_a_process_does_not_survive_by_being_not_dumpable(target):
    """As an ssh-agent is: others cannot read its environment."""
    if become_orphan():
        LIBC.prctl(4, 0, 0, 0, 0)
        stay()


@_survives()
def test_a_process_does_not_survive_with_an_empty_environment(target):
    if become_orphan():
        os.execve("/bin/sh", ["sh", "-c", "trap '' TERM HUP; sleep 30; :", target.mark], {})


@_survives()
def test_a_stopped_process_does_not_survive(target):
    if become_orphan():
        os.kill(os.getpid(), signal.SIGSTOP)


@_survives()
def test_a_process_does_not_survive_by_forking_as_fast_as_it_can(target):
    """Each one ends as soon as the next one lives; they stop by themselves."""
    if become_orphan():
        for _ in every(5):
            if os.fork():
                os._exit(0)
        os._exit(0)


@_survives()
def test_a_family_of_forking_processes_does_not_survive(target):
    if become_orphan():
        for _ in range(4):
            os.fork()
        for _ in every(5):
            if os.fork():
                os._exit(0)
            os.setsid()
        os._exit(0)


@_survives()
def test_a_process_does_not_survive_by_taking_another_name_and_another_group(target):
    for _ in range(20):
        if become_orphan():
            LIBC.prctl(15, b"kworker/0:0", 0, 0, 0)
            os.chdir("/")
            os.closerange(0, 100)
            stay()


@_survives()
def test_a_process_does_not_survive_when_the_limit_ends_its_attempt(target):
    if become_orphan():
        stay()
    sys.exit(3)
