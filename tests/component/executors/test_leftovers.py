"""What an attempt started is gone before its end is reported, however it hides. A real supervisor, no Kafka."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from executors.clock import boot_seconds
from executors.deadlines import ProcessTerms
from executors.orphans import TAG, children, is_gone, kill_all_of
from executors.sandbox.launch import find_launcher
from executors.sandbox.users import User, Users
from executors.supervisor_link import Exited, Spawned, Spec, SupervisorLink
from schemas.event import EndCause

WAIT_SECONDS = 20.0
PROMPT_SECONDS = 1.0
IS_ROOT = os.getuid() == 0
PYTHON = "/usr/bin/env -i /usr/bin/python3 -S -c"


class Rig:
    def __init__(self, cwd, users):
        self._cwd, self._users = cwd, users
        self._exits, self._spawned = asyncio.Queue(), asyncio.Queue()
        self._count = 0
        self.link = SupervisorLink(on_notice=self._hear, on_death=lambda: None, launcher=find_launcher())

    def _hear(self, notice):
        if isinstance(notice, Exited):
            self._exits.put_nowait(notice)
        elif isinstance(notice, Spawned):
            self._spawned.put_nowait(notice)

    async def start(self, script, mode, **terms):
        """`mode`: what its processes are known by."""
        self._count += 1
        plain = {"limit": 60.0, "grace": 5.0, "lease": 60.0, "margin": 5.0, "start_before": boot_seconds() + 60}
        user = self._users.take() if mode == "user" else None
        env = {"PATH": os.environ["PATH"]}
        if mode == "variables":
            env |= {"TIDEMILL_RUN_ID": f"a@{self._count}", "TIDEMILL_FENCING_TOKEN": str(self._count)}
        argv = (*prefix(mode, self._count, user), "/bin/sh", "-c", script)
        spec = Spec(argv=argv, env=env, cwd=self._cwd, user=user)
        os.close(self.link.spawn(self._count, spec, ProcessTerms(**{**plain, **terms}), boot_seconds(), None))
        async with asyncio.timeout(WAIT_SECONDS):
            await self._spawned.get()
        return self._count

    async def exited(self):
        async with asyncio.timeout(WAIT_SECONDS):
            return await self._exits.get()

    async def run(self, script, mode, **terms):
        await self.start(script, mode, **terms)
        return await self.exited()


def prefix(mode, number, user):
    if mode == "user":
        ids = ("--reuid", str(user.id), "--regid", str(user.id))
        return ("/usr/bin/setpriv", *ids, "--clear-groups", "--no-new-privs")
    if mode == "tag":
        return ("/usr/bin/prlimit", f"--rttime={TAG + number}:{TAG + number}")
    return ()


@pytest.fixture(scope="module")
def users():
    made = Users() if IS_ROOT else None
    yield made
    if made:
        made.close()


@pytest.fixture
def in_rig(tmp_path, users):
    """Runs an async function with a rig."""

    def run(body):
        async def guarded():
            rig = Rig(tmp_path, users)
            try:
                await body(rig)
            finally:
                assert rig.link.close()

        asyncio.run(guarded())

    tmp_path.chmod(0o777)
    return run


def below(pid):
    """Every living process below this one."""
    found = [each for each in children(pid) if not is_gone(each)]
    return [*found, *(inner for each in found for inner in below(each))]


BY_USER = ["user"] if IS_ROOT else []
"""Only root may give attempts users of their own."""
HIDDEN = {
    "in its own session": "setsid -f sleep 60",
    "double fork": "(sleep 60 &) & sleep 0.05",
    "without an environment": "setsid -f env -i /bin/sleep 60; sleep 0.05",
    "not dumpable": f"""{PYTHON} '
import ctypes, os, time
if os.fork() == 0:
    os.setsid()
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
    time.sleep(60)
time.sleep(0.1)'""",
    "ignores every signal": f"""{PYTHON} '
import os, signal, time
if os.fork() == 0:
    os.setsid()
    for each in set(range(1, 32)) - {{signal.SIGKILL, signal.SIGSTOP}}:
        signal.signal(each, signal.SIG_IGN)
    time.sleep(60)
time.sleep(0.1)'""",
    "stopped": "setsid -f sh -c 'kill -STOP $$'; sleep 0.05",
    "chain": f"""{PYTHON} '
import os, time
if os.fork() == 0:
    os.setsid()
    while True:
        if os.fork():
            os._exit(0)
time.sleep(0.1)'""",
    "chain of sessions": f"""{PYTHON} '
import os, time
if os.fork() == 0:
    while True:
        os.setsid() if os.getpid() != os.getsid(0) else None
        if os.fork():
            os._exit(0)
time.sleep(0.1)'""",
    "hundreds at once": f"""{PYTHON} '
import os, time
def grow(depth):
    for _ in range(6 if depth else 0):
        if os.fork() == 0:
            os.setsid()
            grow(depth - 1)
            time.sleep(60)
            os._exit(0)
if os.fork() == 0:
    grow(3)
    time.sleep(60)
time.sleep(0.3)'""",
}


@pytest.mark.parametrize("mode", [*BY_USER, "tag"])
@pytest.mark.parametrize("how", HIDDEN)
def test_what_an_attempt_started_is_gone_when_its_end_is_reported(in_rig, how, mode):
    async def body(rig):
        exited = await rig.run(HIDDEN[how] + "; exit 3", mode)
        assert below(rig.link.pid) == []
        assert (exited.code, exited.cause, exited.left) == (3, EndCause.EXITED, None)

    in_rig(body)


@pytest.mark.parametrize("mode", [*BY_USER, "tag", "variables"])
def test_what_another_attempt_started_lives_on(in_rig, mode):
    async def body(rig):
        other = await rig.start("setsid -f sleep 60; setsid -f sleep 60; exec sleep 60", mode)
        await until(lambda: len(below(rig.link.pid)) == 3)
        exited = await rig.run("setsid -f sleep 60; (sleep 60 &)", mode)
        assert (exited.left, len(below(rig.link.pid))) == (None, 3)
        rig.link.kill(other, EndCause.CANCELLED, 0.0)
        assert (await rig.exited()).left is None
        assert below(rig.link.pid) == []

    in_rig(body)


@pytest.mark.parametrize("mode", [*BY_USER, "tag"])
def test_the_end_of_the_lease_ends_what_has_left_the_group(in_rig, mode):
    async def body(rig):
        exited = await rig.run(f"{HIDDEN['chain']} & sleep 60", mode, lease=2.0, margin=1.0)
        assert (exited.cause, exited.left, below(rig.link.pid)) == (EndCause.LEASE, None, [])

    in_rig(body)


def test_without_a_mark_it_is_gone_if_no_attempt_that_runs_can_have_started_it(in_rig):
    async def body(rig):
        exited = await rig.run(HIDDEN["without an environment"], "nothing")
        assert (exited.left, below(rig.link.pid)) == (None, [])

    in_rig(body)


def test_what_may_be_of_an_attempt_that_runs_is_named_and_lives_until_that_ends(in_rig):
    async def body(rig):
        other = await rig.start("exec sleep 60", "nothing")
        exited = await rig.run(HIDDEN["without an environment"], "nothing")
        assert exited.left.startswith("1 processes that may be its own, or of an attempt that runs, are left: ")
        assert exited.left.endswith(" (sleep)")
        assert len(below(rig.link.pid)) == 2
        rig.link.kill(other, EndCause.CANCELLED, 0.0)
        assert ((await rig.exited()).left, below(rig.link.pid)) == (None, [])

    in_rig(body)


def test_an_attempt_that_leaves_nothing_is_reported_at_once(in_rig):
    async def body(rig):
        for mode in (*BY_USER, "tag", "nothing"):
            exited = await rig.run("sleep 0 & (sleep 0; wait); wait", mode)
            assert (exited.left, boot_seconds() - exited.at < PROMPT_SECONDS) == (None, True)

    in_rig(body)


def test_a_job_cannot_kill_those_who_kill_it(users):
    """Another user's process is out of reach also while it kills; and kill(-1) reaches no process of any other user."""
    if not IS_ROOT:
        assert not kill_all_of(os.getuid() + 1, os.getuid() + 2)
        return
    user = users.take()
    bystander = User(id=users.take().id, killer=user.killer)
    script = "import os, sys, time; os.setresuid(*[int(sys.argv[1])] * 3); print(1, flush=True); time.sleep(60)"
    ids = [user.id, user.id, bystander.id, 0]
    pids = [os.posix_spawn("/usr/bin/python3", ["python3", "-c", script, str(each)], os.environ) for each in ids]
    asyncio.run(until(lambda: [Path(f"/proc/{pid}").stat().st_uid for pid in pids] == ids))
    assert kill_all_of(user.id, user.killer)
    asyncio.run(until(lambda: [is_gone(pid) for pid in pids] == [True, True, False, False]))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


async def until(condition):
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110 - facts of other processes
            await asyncio.sleep(0.01)
