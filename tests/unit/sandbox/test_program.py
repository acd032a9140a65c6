"""Steps as a program, and as work of the Python shim: both do the same, and say which step failed."""

from __future__ import annotations

import errno
import os
import resource

import pytest

from executors.orphans import TAG
from executors.sandbox.launch import SHIM, find_launcher, run_steps
from executors.sandbox.program import compile_steps
from executors.sandbox.steps import (
    REPORT,
    REPORT_FD,
    Step,
    close,
    close_at_exec,
    die_with,
    limit,
    no_new_privileges,
    tag,
    write,
)

NOBODY_HAS = 900
"""A number that no descriptor has."""
BAD = close(NOBODY_HAS)


@pytest.fixture(params=[find_launcher(), SHIM], ids=["program", "python"])
def launcher(request):
    return request.param


@pytest.fixture
def launch(launcher):
    """Runs a command behind steps; returns its exit code, its output and its report."""

    def run(steps, *command, number=7, first=0, env=None):
        read, report = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        file = os.memfd_create("launch", os.MFD_CLOEXEC)
        os.write(file, launcher.launch_file(steps, number, first, env or {}))
        out, end = os.pipe2(os.O_CLOEXEC)
        argv = [*launcher.command_with(file), *command]
        actions = [(os.POSIX_SPAWN_DUP2, end, 1), *launcher.actions(file, report, ())]
        pid = os.posix_spawn(argv[0], argv, {}, file_actions=actions)
        os.close(end)
        with open(out) as pipe:  # noqa: PTH123 - a descriptor
            output = pipe.read()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        try:
            reported = REPORT.unpack(os.read(read, REPORT.size))
        except BlockingIOError:
            reported = None
        for fd in (read, report, file):
            os.close(fd)
        return code, output, reported

    return run


def test_steps_run_in_their_order_before_the_command(launch):
    steps = (write(1, b"a", "a"), write(1, b"b", "b"))
    assert launch(steps, "/bin/echo", "c") == (0, "abc\n", None)


def test_after_a_step_that_fails_nothing_runs_and_the_report_names_it(launch):
    steps = (write(1, b"a", "a"), BAD, write(1, b"b", "b"))
    assert launch(steps, "/bin/echo", "c") == (127, "a", (7, 1, errno.EBADF))
    assert launch(steps, "/bin/echo", "c", first=1000)[2] == (7, 1001, errno.EBADF)


def test_a_call_that_returns_something_else_than_it_must_has_failed(launch):
    steps = (Step(call="getppid", args=(), fails="x", result=1),)
    assert launch(steps, "/bin/echo", "c")[:2] == (127, "")


def test_a_command_that_cannot_be_executed_is_reported_behind_the_last_step(launch):
    assert launch((write(1, b"a", "a"),), "/no/such") == (127, "a", (7, 1, errno.ENOENT))


def test_the_exit_code_of_the_command_is_not_taken_for_a_failed_step(launch):
    assert launch((close_at_exec(REPORT_FD),), "/bin/sh", "-c", "exit 127") == (127, "", None)


def test_a_script_without_an_interpreter_is_run_by_a_shell(launch, tmp_path):
    script = tmp_path / "script"
    script.write_text("echo $1")
    script.chmod(0o755)
    assert launch((), str(script), "x") == (0, "x\n", None)


def test_without_a_command_the_exit_code_is_the_errors_number(launch):
    assert [launch(steps)[0] for steps in ((), (BAD,))] == [0, errno.EBADF]


def test_only_the_command_gets_the_environment(launch):
    code, output, _ = launch((), "/usr/bin/env", env={"A": "ä b", "B": ""})
    assert (code, sorted(output.splitlines())) == (0, ["A=ä b", "B="])


def test_the_tag_carries_the_number_of_the_attempt(launch):
    script = "grep 'realtime timeout' /proc/self/limits"
    _, output, _ = launch((tag(),), "/bin/sh", "-c", script, number=12)
    assert output.split()[3:5] == [str(TAG + 12)] * 2


def test_limits_and_flags_reach_the_command(launch):
    steps = (limit(resource.RLIMIT_NOFILE, 20, 30, "x"), no_new_privileges())
    _, output, _ = launch(steps, "/bin/sh", "-c", "ulimit -Sn; ulimit -Hn; grep NoNewPrivs /proc/self/status")
    assert output.split() == ["20", "30", "NoNewPrivs:", "1"]


def test_a_command_whose_supervisor_is_another_process_is_not_executed(launch):
    assert launch(die_with(os.getpid()), "/bin/echo", "a") == (0, "a\n", None)
    assert launch(die_with(1), "/bin/echo", "a")[:2] == (127, "")


def test_what_failed_is_a_sentence(launcher):
    assert run_steps(launcher, ()) is None
    assert run_steps(launcher, (BAD,)) == f"it cannot close the descriptor {NOBODY_HAS}: Bad file descriptor"


def test_equal_steps_differ_only_in_number_and_environment():
    one, other = (compile_steps((tag(), BAD), number) for number in (1, 2))
    assert len(one) == len(other)
    assert sum(left != right for left, right in zip(one, other, strict=True)) == 3
