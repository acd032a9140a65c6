"""Each attempt has a user of its own, if the executor may change users; otherwise they share the executor's."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from schemas.confinement import Confinement, Sandbox
from schemas.event import Ended, Started
from schemas.heartbeat import ExecutorState
from tests.component.executors.conftest import Fleet, Owner, make_connections

IS_ROOT = os.geteuid() == 0
FIRST_USER = 2_100_000_000
WHO = "echo $(id -u) $(id -g); id -G; stat -c '%u %a' . .. ../bin ../bin/* \"$TIDEMILL_CHECKPOINT\" ../result"
REFUSED = 2


@pytest.fixture(scope="module")
def passable():
    """A folder that other users may pass, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="tidemill-executors-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(scope="module")
def stage(shared_servers, passable):
    connections = make_connections(shared_servers.environment)
    with (
        closing(Owner(connections)) as owner,
        closing(Fleet(shared_servers.environment, connections, passable)) as fleet,
    ):
        yield owner, fleet.start()


@pytest.fixture
def run(stage, objects):
    """Runs a script and returns its end."""
    owner, _ = stage
    return lambda text, **changes: owner.run(objects.script(text), **changes)


def test_an_attempt_owns_what_it_may_write_and_nothing_else(run):
    ended = run(WHO)
    user, groups, *places = ended.output.splitlines()
    mine = user.split()[0]
    if IS_ROOT:
        assert int(mine) > FIRST_USER
        assert (user, groups) == (f"{mine} {mine}", mine)
    else:
        assert mine == str(os.geteuid())
    others = str(os.geteuid())
    assert places == [f"{mine} 700", f"{others} 711", f"{others} 755", f"{others} 555", f"{mine} 700", f"{mine} 700"]


@pytest.mark.parametrize("sandbox", [Sandbox.BASIC, Sandbox.STRICT])
def test_two_attempts_at_once_have_different_users(stage, objects, sandbox):
    owner, _ = stage
    script = objects.script('id -u; touch "$TIDEMILL_CHECKPOINT/x" && sleep 0.5')
    orders = [owner.order(script, confinement=Confinement(sandbox=sandbox)) for _ in range(3)]
    owner.dispatch(*orders)
    ends = [owner.end_of(each) for each in orders]
    users = {each.output for each in ends}
    assert [each.exit_code for each in ends] == [0] * 3
    assert len(users) == (3 if IS_ROOT else 1)


def test_no_attempt_gets_into_the_directory_of_another(stage, objects):
    owner, executor = stage
    neighbour = owner.order(objects.script('echo secret > "$HOME/own"; sleep 2'))
    owner.dispatch(neighbour)
    owner.first(neighbour, Started)
    tries = f"cat {executor.work}/*/*/w*/own; ls {executor.work}; ls {executor.work}/*; find {executor.work} -type f"
    ended = owner.run(objects.script(tries))
    assert "secret" not in ended.output
    assert ended.output.count("Permission denied") + ended.output.count("No such file") >= 4
    assert owner.end_of(neighbour).exit_code == 0


def test_checkpoint_and_result_of_such_an_attempt_are_kept(stage, objects):
    owner, _ = stage
    script = objects.script(
        'cd "$TIDEMILL_CHECKPOINT"; ls -A; mkdir -p a; touch "a/$TIDEMILL_ATTEMPT"; find . -not -user "$(id -u)"; '
        'echo 1 > "$TIDEMILL_RESULT"; [ "$TIDEMILL_ATTEMPT" = 2 ]'
    )
    order = owner.order(script)
    owner.dispatch(order)
    first = owner.end_of(order)
    assert (first.checkpoint_problem, first.exit_code) == (None, 1)
    second = owner.run(script, run_id=order.run_id, attempt=2, checkpoint=first.checkpoint)
    assert (second.exit_code, second.output, second.result.bytes) == (0, "a\n", 1)


@pytest.mark.parametrize("sandbox", ["basic", "none"])
def test_a_job_that_rewrites_its_program_changes_nothing_for_the_next(
    sandbox, servers, connections, owner, passable, objects
):
    """It writes into its own file, which is also the one in the cache, and hides that."""
    program = objects.script(
        """[ "$1" = attack ] || { echo good; exit; }
        before=$(stat -c %y "$0")
        for each in "$0" ../bin/* ../../../cache/*; do
            chmod 777 "$each"
            printf '#!/bin/sh\\necho bad bad bad\\n' > "$each"
            cp /bin/true "$each.new" && mv "$each.new" "$each"
            touch -d "$before" "$each"
        done
        echo done"""
    )
    with closing(Fleet(servers, connections, Path(tempfile.mkdtemp(dir=passable)))) as fleet:
        fleet.start(sandbox=sandbox)
        before = owner.run(program)
        attack = owner.order(program, args=("attack",))
        owner.dispatch(attack)
        owner.end_of(attack)
        after = owner.order(program)
        owner.dispatch(after)
        assert (before.output, owner.end_of(after).output) == ("good\n", "good\n")
        assert {owner.first(each, Started).sha256 for each in (attack, after)} == {program[1]}


def test_an_executor_says_whether_its_attempts_share_its_user(stage):
    owner, _ = stage
    owner.wait(lambda: owner.last_heartbeat(ExecutorState.RUNNING))
    lacks = owner.last_heartbeat(ExecutorState.RUNNING).capabilities.lacks
    assert any("share the user" in each for each in lacks) != IS_ROOT


def test_below_a_directory_that_others_may_not_pass_attempts_share_the_user(executors, owner, objects, tmp_path):
    tmp_path.chmod(0o700)
    executors.start()
    assert owner.run(objects.script("id -u")).output == f"{os.geteuid()}\n"
    lacks = owner.wait(lambda: owner.last_heartbeat(ExecutorState.RUNNING)).capabilities.lacks
    assert any("share the user" in each for each in lacks)


def foreign(path):
    path.mkdir()
    if IS_ROOT:
        os.chown(path, 12, 12)
    return f"belongs to user {path.stat().st_uid}" if IS_ROOT else None


def link(path):
    (path.parent / "elsewhere").mkdir()
    path.symlink_to("elsewhere")
    return "is a symbolic link"


def open_to_others(path):
    path.mkdir()
    path.chmod(0o777)
    (path / "planted").touch()
    return "other users may write into it"


def file(path):
    path.touch()
    return "is not a directory"


@pytest.mark.parametrize("make", [foreign, link, open_to_others, file])
@pytest.mark.parametrize("setting", ["work_dir", "cache_dir"])
def test_an_unsafe_directory_is_refused_with_a_sentence(executors, tmp_path, make, setting):
    place = tmp_path / "place"
    if reason := make(place):
        executor = executors.start(wait=False, **{setting: place})
        assert executor.process.wait(30) == REFUSED
        assert f"TIDEMILL_{setting.upper()} is {place}, which " in executor.log.read_text()
        assert reason in executor.log.read_text()


def test_a_directory_of_an_earlier_release_is_made_private(executors, owner, objects, tmp_path):
    place = tmp_path / "place"
    place.mkdir(mode=0o755)
    (place / "cache").mkdir(mode=0o755)
    executors.start(work_dir=place)
    assert isinstance(owner.run(objects.script("true")), Ended)
    assert [each.stat().st_mode & 0o777 for each in (place, place / "cache")] == [0o711, 0o711]
