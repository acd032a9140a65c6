"""Out of memory is reported if the kernel tells it, and as a guess otherwise."""

from __future__ import annotations

import pytest

from executors.memory import KILLED, PERHAPS, OutOfMemory, of_this_process, problem
from tests.support.simulated.log import Log, ended, started

EVENTS = "low 0\nhigh 0\nmax 12\noom 3\noom_kill {}\noom_group_kill 0\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"


def of(tmp_path, cgroup, files):
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text(cgroup)
    for name, content in files.items():
        path = tmp_path / "mount" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return of_this_process(tmp_path, tmp_path / "mount")


@pytest.mark.parametrize(
    ("cgroup", "files", "kills"),
    [
        ("0::/\n", {"memory.events": EVENTS.format(4)}, 4),
        ("0::/pod/one\n", {"pod/one/memory.events": EVENTS.format(5), "memory.events": EVENTS.format(9)}, 5),
        ("0::/seen/from/outside\n", {"memory.events": EVENTS.format(6)}, 6),
        ("4:cpu,memory:/one\n0::/\n", {"memory/one/memory.oom_control": CONTROL.format(7)}, 7),
        ("4:memory:/docker/one\n0::/\n", {"memory/memory.oom_control": CONTROL.format(8)}, 8),
        ("0::/\n", {"memory.events": "low 0\n"}, None),
        ("0::/\n", {}, None),
        ("", {}, None),
    ],
    ids=["v2", "v2 below", "v2 container", "v1", "v1 container", "old kernel", "no controller", "no cgroups"],
)
def test_the_count_is_read_from_the_own_cgroup(tmp_path, cgroup, files, kills):
    assert of(tmp_path, cgroup, files).kills() == kills


def test_a_missing_cgroup_gives_no_count(tmp_path):
    assert OutOfMemory(tmp_path / "gone").kills() is None


@pytest.mark.parametrize(
    ("before", "after", "exit_code", "said"),
    [
        (0, 1, 137, KILLED),
        (2, 3, 1, KILLED),
        (0, 1, 0, None),
        (0, 0, 137, None),
        (None, None, 137, PERHAPS),
        (None, None, 1, None),
        (0, None, 137, PERHAPS),
    ],
)
def test_the_reason_tells_what_is_known(before, after, exit_code, said):
    assert problem(before, after, exit_code) == said


@pytest.mark.parametrize("said", [KILLED, PERHAPS])
def test_the_reason_of_the_attempt_and_of_the_run_says_so(said):
    log = Log()
    owner = log.dispatched()
    dispatch = log.dispatches()[-1]
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now, 137, memory_problem=said)))
    log.turn(owner, 1)
    status = log.statuses()[dispatch.run_id]
    assert status.reason == status.attempts[0].reason == f"exit code 137 (SIGKILL); {said}"
