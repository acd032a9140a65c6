"""The supervisor as a real process: what it spawns, limits and kills. No Kafka."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from executors.clock import boot_seconds
from executors.deadlines import ProcessTerms
from executors.sandbox.launch import SHIM, find_launcher
from executors.supervisor_link import (
    Exited,
    Refused,
    Spawned,
    Spec,
    SupervisorLink,
)
from schemas.event import EndCause

WAIT_SECONDS = 15.0
NOBODY = 65534
GLIBC_INTERNAL = 0b11 << 31
"""Signals 32 and 33, which glibc's posix_spawn ignores in the child."""


class Rig:
    """A supervisor, its notices, and the output of its processes."""

    def __init__(self, launcher, cwd):
        self.notices, self.died = [], False
        self._news = asyncio.Event()
        self._cwd, self._count = cwd, 0
        self.link = SupervisorLink(on_notice=self._hear, on_death=self._die, launcher=launcher)

    def _hear(self, notice):
        self.notices.append(notice)
        self._news.set()

    def _die(self):
        self.died = True
        self._news.set()

    def sh(self, script, *, stdin=None, renewed=None, **terms):
        plain = {"limit": 60.0, "grace": 5.0, "lease": 60.0, "margin": 5.0, "start_before": boot_seconds() + 60}
        return self.spawn(("/bin/sh", "-c", script), {**plain, **terms}, stdin, renewed)

    def spawn(self, argv, terms, stdin=None, renewed=None, env=None):
        self._count += 1
        spec = Spec(argv=argv, env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(env or {})}, cwd=self._cwd)
        renewed = boot_seconds() if renewed is None else renewed
        fd = self.link.spawn(self._count, spec, ProcessTerms(**terms), renewed, stdin)
        os.set_blocking(fd, True)
        return self._count, open(fd, "rb")  # noqa: PTH123 - a pipe, read to its end below

    async def until(self, condition):
        async with asyncio.timeout(WAIT_SECONDS):
            while not (found := condition()):
                self._news.clear()
                await self._news.wait()
            return found

    async def notice(self, number, kind):
        return await self.until(
            lambda: next((each for each in self.notices if isinstance(each, kind) and each.number == number), None)
        )

    async def run(self, script, **more):
        number, pipe = self.sh(script, **more)
        exited = await self.notice(number, Exited)
        with pipe:
            return exited, pipe.read().decode()


def test_a_host_can_forbid_programs_in_memory():
    assert find_launcher(from_memory=False) == SHIM


@pytest.fixture(params=[find_launcher(), SHIM], ids=["program", "python"])
def launcher(request):
    return request.param


def in_loop(test):
    """Runs an async test with a rig."""

    def run(launcher, tmp_path):
        async def body():
            rig = Rig(launcher, tmp_path)
            try:
                await test(rig)
            finally:
                rig.link.close()

        asyncio.run(body())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


async def gone(pid):
    async with asyncio.timeout(WAIT_SECONDS):
        while _state(pid) != "Z":  # noqa: ASYNC110 - another process's end
            await asyncio.sleep(0.01)


def _state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


@in_loop
async def test_output_input_and_exit_code_pass_through(rig):
    exited, output = await rig.run("cat; echo err >&2; exit 3", stdin=b"in\n")
    assert (exited.code, exited.cause, output) == (3, EndCause.EXITED, "in\nerr\n")


@in_loop
async def test_a_process_inherits_nothing_but_its_three_files(rig):
    _, output = await rig.run("ls /proc/self/fd | wc -l; cat | wc -c; pwd")
    fds, size, cwd = output.split()
    assert int(fds) == 4  # the fourth descriptor is the directory that ls reads
    assert size == "0"
    assert cwd == str(rig._cwd)


@in_loop
async def test_a_variable_that_would_become_two_is_refused(rig):
    for env in ({"A": "1\0B=2"}, {"A\0B": "1"}, {"A=B": "1"}):
        terms = {"limit": 60.0, "grace": 5.0, "lease": 60.0, "margin": 5.0, "start_before": boot_seconds() + 60}
        number, pipe = rig.spawn(("/bin/sh", "-c", "env"), terms, env=env)
        refused = await rig.notice(number, Refused)
        assert "that no process can have" in refused.reason
        pipe.close()


@in_loop
async def test_a_process_has_its_own_session_and_no_signal_ignored(rig):
    _, output = await rig.run(
        "ps -o pid=,sid=,pgid= -p $$; grep SigIgn /proc/self/status; grep SigBlk /proc/self/status"
    )
    ids, ignored, blocked = output.splitlines()
    assert len(set(ids.split())) == 1
    assert int(ignored.split()[1], 16) & ~GLIBC_INTERNAL == 0
    assert int(blocked.split()[1], 16) == 0


@in_loop
async def test_death_by_a_signal_has_the_exit_code_of_a_shell(rig):
    direct, _ = await rig.run("kill -SEGV $$")
    between, _ = await rig.run('sh -c "kill -SEGV \\$\\$"; exit $?')
    assert (direct.code, between.code) == (139, 139)


@in_loop
async def test_at_the_limit_term_then_kill(rig):
    exited, output = await rig.run("trap 'echo term' TERM; while :; do sleep 0.05; done", limit=0.3, grace=0.5)
    assert (exited.code, exited.cause) == (137, EndCause.LIMIT)
    assert output.endswith("term\n")


@in_loop
async def test_at_its_limit_a_stopped_process_gets_its_term_too(rig):
    exited, _ = await rig.run("kill -STOP $$", limit=0.3, grace=30.0)
    assert (exited.code, exited.cause) == (143, EndCause.LIMIT)


@in_loop
async def test_without_renewals_the_lease_ends_the_process_in_time(rig):
    began = boot_seconds()
    exited, _ = await rig.run("trap '' TERM; while :; do sleep 0.05; done", lease=2.0, margin=1.0)
    assert exited.cause is EndCause.LEASE
    assert exited.at < began + 2.0


@in_loop
async def test_renewals_keep_a_process_alive(rig):
    number, pipe = rig.sh("sleep 1.5; echo alive", lease=1.5, margin=0.5)
    for _ in range(8):
        rig.link.renew(boot_seconds())
        await asyncio.sleep(0.2)
    exited = await rig.notice(number, Exited)
    with pipe:
        assert (exited.code, pipe.read()) == (0, b"alive\n")


async def refuses(rig, **terms):
    number, pipe = rig.sh("echo never", **terms)
    exited = await rig.notice(number, Exited)
    with pipe:
        assert (exited.code, exited.cause, pipe.read()) == (None, EndCause.LEASE, b"")


@in_loop
async def test_a_void_claim_is_not_started(rig):
    await refuses(rig, start_before=boot_seconds())


@in_loop
async def test_nothing_starts_without_a_lease(rig):
    await refuses(rig, renewed=boot_seconds() - 100)


@in_loop
async def test_a_kill_order_says_why(rig):
    number, pipe = rig.sh("sleep 60")
    await rig.notice(number, Spawned)
    rig.link.kill(number, EndCause.STOPPED, 5.0)
    exited = await rig.notice(number, Exited)
    pipe.close()
    assert (exited.code, exited.cause) == (143, EndCause.STOPPED)


@in_loop
async def test_after_term_exit_0_is_no_success(rig):
    number, pipe = await begun(rig, "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done")
    rig.link.kill(number, EndCause.CANCELLED, 5.0)
    exited = await rig.notice(number, Exited)
    pipe.close()
    assert (exited.code, exited.cause) == (0, EndCause.CANCELLED)


@in_loop
async def test_a_process_that_ended_before_its_term_exited_by_itself(rig):
    number, pipe = await begun(rig, "echo ready; sleep 0.3")
    spawned = await rig.notice(number, Spawned)
    os.kill(rig.link.pid, signal.SIGSTOP)
    await gone(spawned.pid)
    rig.link.kill(number, EndCause.CANCELLED, 5.0)
    os.kill(rig.link.pid, signal.SIGCONT)
    exited = await rig.notice(number, Exited)
    pipe.close()
    assert (exited.code, exited.cause) == (0, EndCause.EXITED)


@in_loop
async def test_a_repeated_kill_sends_no_second_term_and_can_shorten_the_grace(rig):
    number, pipe = await begun(rig, "trap 'echo term' TERM; echo ready; while :; do sleep 0.05; done")
    for cause, grace in [(EndCause.CANCELLED, 60.0), (EndCause.CANCELLED, 90.0), (EndCause.STOPPED, 0.5)]:
        rig.link.kill(number, cause, grace)
    exited = await rig.notice(number, Exited)
    with pipe:
        assert (exited.code, exited.cause, pipe.read().split().count(b"term")) == (137, EndCause.CANCELLED, 1)


@in_loop
async def test_without_a_grace_there_is_no_term(rig):
    number, pipe = await begun(rig, "trap 'echo term' TERM; echo ready; while :; do sleep 0.05; done")
    rig.link.kill(number, EndCause.CANCELLED, 0.0)
    exited = await rig.notice(number, Exited)
    with pipe:
        assert (exited.code, exited.cause, pipe.read()) == (137, EndCause.CANCELLED, b"")


async def begun(rig, script):
    """Starts a script and waits for its first output."""
    number, pipe = rig.sh(script)
    await asyncio.to_thread(pipe.readline)
    return number, pipe


@in_loop
async def test_the_process_group_dies_with_its_leader(rig):
    _, output = await rig.run("sleep 60 & echo $!")
    await gone(int(output))


@in_loop
async def test_processes_that_left_the_group_die_with_the_leader_too(rig):
    terms = {"limit": 60.0, "grace": 5.0, "lease": 60.0, "margin": 5.0, "start_before": boot_seconds() + 60}
    marks = {"TIDEMILL_RUN_ID": "a@1", "TIDEMILL_FENCING_TOKEN": "1"}
    script = "setsid sh -c 'echo $$; exec >/dev/null 2>&1; sleep 60' & sleep 0.2"
    number, pipe = rig.spawn(("/bin/sh", "-c", script), terms, env=marks)
    other, other_pipe = rig.spawn(
        ("/bin/sh", "-c", "setsid sleep 60 & echo $!; sleep 60"), terms, env={**marks, "TIDEMILL_FENCING_TOKEN": "2"}
    )
    daemon = int(other_pipe.readline())
    await rig.notice(number, Exited)
    with pipe:
        await gone(int(pipe.readline()))
    assert _state(daemon) != "Z"
    rig.link.kill(other, EndCause.STOPPED, 0.0)
    await gone(daemon)
    other_pipe.close()


@in_loop
async def test_a_process_that_cannot_be_spawned_is_refused(rig):
    terms = {"limit": 60.0, "grace": 5.0, "lease": 60.0, "margin": 5.0, "start_before": boot_seconds() + 60}
    number, pipe = rig.spawn(("/bin/sh", "-c", "a\0b"), terms)
    pipe.close()
    assert "null" in (await rig.notice(number, Refused)).reason


@in_loop
async def test_the_leaders_die_with_a_killed_supervisor(rig):
    number, pipe = await begun(rig, "echo ready; sleep 60")
    spawned = await rig.notice(number, Spawned)
    os.kill(rig.link.pid, signal.SIGKILL)
    await rig.until(lambda: rig.died)
    await gone(spawned.pid)
    pipe.close()


@in_loop
async def test_a_supervisor_ignores_signals_of_a_terminal(rig):
    await rig.run("true")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(rig.link.pid, number)
    exited, _ = await rig.run("true")
    assert exited.code == 0


@in_loop
async def test_many_processes_at_once_are_each_reported(rig):
    pipes = [rig.sh(f"exit {n}") for n in range(60)]
    for n, (number, pipe) in enumerate(pipes):
        assert (await rig.notice(number, Exited)).code == n
        pipe.close()


def test_nothing_survives_an_executor_that_is_killed(tmp_path):
    script = f"""
import asyncio, os, sys
from pathlib import Path
from executors.clock import boot_seconds
from executors.deadlines import ProcessTerms
from executors.sandbox.launch import find_launcher
from executors.supervisor_link import Spec, SupervisorLink
async def main():
    link = SupervisorLink(on_notice=lambda n: None, on_death=lambda: None, launcher=find_launcher())
    terms = ProcessTerms(limit=60, grace=5, lease=60, margin=5, start_before=boot_seconds() + 60)
    spec = Spec(argv=("/bin/sh", "-c", "sleep 60 & echo $$ $!; wait"), env={{}}, cwd=Path({str(tmp_path)!r}))
    fd = link.spawn(1, spec, terms, boot_seconds(), None)
    os.set_blocking(fd, True)
    print(link.pid, os.read(fd, 100).decode(), flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as executor:
        pids = [int(each) for each in executor.stdout.readline().split()]
        executor.kill()
    for pid in pids:
        asyncio.run(gone(pid))


def test_a_child_of_another_user_does_not_protect_the_others():
    script = f"""
import os, subprocess
from executors.orphans import kill_children
other = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL)
if os.getuid() == 0:
    os.setgid({NOBODY})
    os.setuid({NOBODY})
ours = [subprocess.Popen(["sleep", "60"]) for _ in range(3)]
kill_children(os.getpid())
print(other.pid, *(each.wait() for each in ours), kill_children(os.getpid()))
"""
    other, *ends = subprocess.check_output([sys.executable, "-c", script], text=True, timeout=WAIT_SECONDS).split()
    if os.getuid() == 0:
        os.kill(int(other), signal.SIGKILL)
    assert ends == ["-9", "-9", "-9", "False"]


def test_a_stopped_supervisor_does_not_block_the_exit(tmp_path, monkeypatch):
    monkeypatch.setattr("executors.supervisor_link._CLOSE_SECONDS", 0.1)

    async def body():
        rig = Rig(find_launcher(), tmp_path)
        number, pipe = await begun(rig, "echo ready; sleep 60")
        spawned = await rig.notice(number, Spawned)
        os.kill(rig.link.pid, signal.SIGSTOP)
        assert not rig.link.close()
        await gone(spawned.pid)
        pipe.close()

    asyncio.run(body())
