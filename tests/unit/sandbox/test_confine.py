"""From what a job asks to the steps of its process."""

from __future__ import annotations

import os

import pytest

from executors.attempt_dirs import PARTS, AttemptDir
from executors.sandbox.confine import ConfinementError, make_confiner
from executors.sandbox.unveil import UnveilError
from schemas.confinement import Capabilities, Confinement, Network, Sandbox

GIVEN = Capabilities(sandboxes=(Sandbox.BASIC,), default=Sandbox.BASIC)


@pytest.fixture
def make_directory(tmp_path):
    def make(name):
        for part in PARTS:
            (tmp_path / name / part).mkdir(parents=True)
        program = tmp_path / name / "bin" / "x"
        program.touch()
        return AttemptDir(path=tmp_path / name, executable=program)

    return make


@pytest.fixture
def confiner():
    made = make_confiner(GIVEN, None, spare_dirs=2)
    yield made
    made.close()


def is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_the_steps_take_rights_before_they_take_the_calls_that_take_rights(confiner, make_directory):
    calls = [each.call for each in confiner.confine(None, make_directory("a"), 1).steps]
    assert calls[-3:] == ["landlock_restrict_self", "close", "seccomp"]
    assert calls.index("capset") < calls.index("prctl") < calls.index("landlock_restrict_self")
    assert calls.index("prlimit64") < calls.index("capset")


def test_without_a_sandbox_there_are_no_steps(make_directory):
    confiner = make_confiner(Capabilities(), None, spare_dirs=2)
    assert confiner.confine(None, make_directory("a"), 1).steps == ()
    asked = Confinement(sandbox=Sandbox.BASIC)
    assert confiner.confine(asked, make_directory("b"), 1).steps != ()
    confiner.close()


def test_a_sandbox_that_the_host_cannot_give_is_refused(confiner, make_directory):
    with pytest.raises(ConfinementError):
        confiner.confine(Confinement(sandbox=Sandbox.STRICT), make_directory("a"), 1)


def test_attempts_of_one_directory_share_a_ruleset_until_they_unveil_something_else(make_directory, tmp_path):
    given = Capabilities(sandboxes=(Sandbox.BASIC,), default=Sandbox.BASIC, unveil=(f"r:{tmp_path}",))
    confiner, directory = make_confiner(given, None, spare_dirs=4), make_directory("a")
    first, again = (confiner.confine(None, directory, number) for number in (1, 2))
    other = confiner.confine(Confinement(unveil=(f"r:{tmp_path}",)), directory, 3)
    assert first == again
    assert other.fds != first.fds
    with pytest.raises(UnveilError):
        confiner.confine(Confinement(unveil=("r:/",)), directory, 4)
    confiner.close()


def test_a_directory_that_was_replaced_gets_a_ruleset_of_its_own(confiner, make_directory):
    directory = make_directory("a")
    before = confiner.confine(None, directory, 1).fds
    (directory.path / "work").rename(directory.path / "old")
    (directory.path / "work").mkdir()
    assert confiner.confine(None, directory, 2).fds != before


def test_as_many_rulesets_are_kept_as_attempts_can_run(confiner, make_directory):
    kept = [confiner.confine(None, make_directory(name), 1).fds[0] for name in "abc"]
    assert [is_open(fd) for fd in kept] == [False, True, True]
    confiner.close()
    assert not any(is_open(fd) for fd in kept)


def test_a_job_without_network_has_another_filter(confiner, make_directory):
    directory = make_directory("a")
    assert (
        confiner.confine(Confinement(network=Network.NONE), directory, 1).steps
        != confiner.confine(Confinement(network=Network.ANY), directory, 1).steps
    )
