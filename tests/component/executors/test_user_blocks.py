"""Which users an executor takes, what it does with processes that these still have, and when there are none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from executors.sandbox.users import Users, find_users

IS_ROOT = os.geteuid() == 0
WAIT_SECONDS = 20.0
LACKING = "setuid", "kill"
LOOK = (
    "import sys; from pathlib import Path; from executors.sandbox.users import find_users; print(find_users(Path('/')))"
)


def block_of(users):
    user = users.take()
    users.give_back(user)
    return user.killer


def test_two_executors_have_no_user_in_common_and_a_third_gets_those_of_one_that_ended():
    first, second = Users(), Users()
    before = block_of(first)
    assert before != block_of(second)
    first.close()
    third = Users()
    assert block_of(third) <= before
    for each in (second, third):
        each.close()


def test_no_user_is_given_twice_and_more_are_found_when_all_are_taken():
    users = Users()
    taken = [users.take() for _ in range(2_000)]
    assert len({each.id for each in taken}) == 2_000
    assert {each.killer for each in taken}.isdisjoint(each.id for each in taken)
    assert len({each.killer for each in taken}) == 2
    users.close()


def test_who_takes_the_users_of_a_dead_executor_kills_its_processes():
    """As a plain user nobody can have left any: only root gives attempts users."""
    dead = Users()
    user = dead.take()
    left = [_sleeping(user.id if IS_ROOT else None) for _ in range(2)]
    bystander = _sleeping(None)
    dead.close()
    heir = Users()
    if IS_ROOT:
        assert [each.wait(WAIT_SECONDS) for each in left] == [-9, -9]
    assert bystander.poll() is None
    for each in (*left, bystander):
        each.kill()
        each.wait()
    heir.close()


def _sleeping(user):
    return subprocess.Popen(["/bin/sleep", "60"], user=user)


def test_without_the_rights_there_are_none_and_a_sentence_says_what_is_missing():
    drop = ",".join(f"-{each}" for each in LACKING)
    prefix = ["setpriv", "--bounding-set", drop, "--inh-caps", drop] if IS_ROOT else []
    said = subprocess.check_output([*prefix, sys.executable, "-c", LOOK], text=True, timeout=WAIT_SECONDS)
    assert said.startswith(f"attempts share the user {os.geteuid()} of the executor: to give each its own, it lacks ")
    assert {f"CAP_{each.upper()}" for each in LACKING} <= set(said.replace(",", "").split())


def test_below_a_directory_that_others_may_not_pass_there_are_none(tmp_path):
    tmp_path.chmod(0o700)
    below = tmp_path / "a"
    below.mkdir(mode=0o711)
    assert isinstance(find_users(below), str)
    if IS_ROOT:
        assert "others may not pass" in find_users(below)
        found = find_users(Path("/"))
        assert isinstance(found, Users)
        found.close()
