"""The sandbox `strict`, below a real process supervisor: what a process sees, how it ends, and when there is none."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from executors.attempt_dirs import AttemptDir
from executors.clock import boot_seconds
from executors.sandbox.bubblewrap import find_bubblewrap
from executors.sandbox.confine import limits
from executors.sandbox.etc_copies import make_open
from executors.sandbox.launch import SHIM, find_launcher
from executors.sandbox.steps import NOT_ENTERED, become, failure_at
from executors.sandbox.strict import open_strict, why_no_strict
from schemas.confinement import Confinement, Network
from schemas.event import EndCause
from tests.support.supervised import Supervised
from tests.support.waiting import eventually

WAIT_SECONDS = 15.0
USER = 2_100_000_777
USERS = [None, USER] if os.getuid() == 0 else [None]
"""Of attempts; None: they have that of the executor."""
GLIBC_INTERNAL = 0b11 << 31
"""Signals 32 and 33, which glibc's posix_spawn ignores in the child."""
PROOF = """
import sys
from pathlib import Path
from executors.sandbox.launch import find_launcher
from executors.sandbox.strict import why_no_strict
print(why_no_strict(find_launcher(), Path(sys.argv[1])))
"""


class House:
    """A supervisor, and attempts in strict sandboxes below it."""

    def __init__(self, work_dir, launcher, user):
        self.work_dir, self._user, self._names = work_dir, user, itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self.strict = open_strict(work_dir / "own", launcher)
        self._below = self._loop.run_until_complete(self._begin(launcher))
        self.supervisor = self._below.link.pid

    async def _begin(self, launcher):
        return Supervised(launcher)

    def attempt(self):
        """A new directory, and in it what a job may change."""
        path = self.work_dir / str(next(self._names))
        for part in ("bin", "work", "checkpoint", "result"):
            make_open(path, Path(part))
            if self._user and part != "bin":
                os.chown(path / part, self._user, self._user)
        return AttemptDir(path=path, executable=path / "bin" / "job")

    def start(self, script, *, at=None, argv=("/bin/sh", "-c"), allowed=(), stdin=None, spoil=None, env=(), **asked):
        directory, number = at or self.attempt(), self._below.next_number()
        steps = (*limits(), *(become(self._user) if self._user else ()))
        confined = self.strict.confine(Confinement(**asked), directory, number, allowed=allowed, limits=steps)
        self.inner = confined.inner
        if spoil:
            spoil(directory)
        pipe = self._below.start(
            number, (*argv, *([script] if script else [])), directory.cwd, confined, stdin=stdin, env=env
        )
        self._loop.run_until_complete(self._below.spawned(number))
        return number, pipe

    def end_of(self, number, pipe):
        return self._loop.run_until_complete(self._below.end_of(number, pipe))

    def run(self, script, **more):
        return self.end_of(*self.start(script, **more))

    def kill(self, number, cause=EndCause.CANCELLED, grace=5.0):
        self._below.link.kill(number, cause, grace)

    def close(self):
        self._loop.run_until_complete(self._close())
        self.strict.close()
        self._loop.close()

    async def _close(self):
        self._below.close()


def processes_with(argument):
    """The pids of processes with an argument that contains this."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            words = (each / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"sleep") and any(argument.encode() in word for word in words):
            found.append(int(each.name))
    return found


def open_directory():
    """Every user may enter it, which pytest does not allow in its own directories."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o711)
        yield Path(made)


@pytest.fixture
def work_dir():
    yield from open_directory()


@pytest.fixture
def elsewhere():
    yield from open_directory()


@pytest.fixture(scope="module", params=USERS, ids=str)
def house(request):
    """One for many tests, because it takes longer to begin than a test."""
    for work_dir in open_directory():
        with closing(House(work_dir, find_launcher(), request.param)) as made:
            yield made


@pytest.fixture
def own_house(work_dir):
    with closing(House(work_dir, find_launcher(), USERS[-1])) as made:
        yield made


def test_input_output_and_exit_code_pass_through(house):
    done = house.run("cat; echo err >&2; exit 3", stdin=b"in\n")
    assert (done.code, done.exited.cause, done.output) == (3, EndCause.EXITED, "in\nerr\n")


def test_a_process_inherits_nothing_but_its_three_files(house):
    done = house.run("ls /proc/self/fd | wc -l; ls /proc/1/fd | wc -l")
    assert done.output.split() == ["4", "3"]  # the fourth descriptor is the directory that ls reads


def test_no_signal_is_blocked_or_ignored_in_the_job(house):
    done = house.run("grep -E 'Sig(Blk|Ign)' /proc/self/status")
    assert [int(each, 16) & ~GLIBC_INTERNAL for each in done.output.split()[1::2]] == [0, 0]


def test_death_by_a_signal_has_the_exit_code_of_a_shell(house):
    assert house.run("kill -SEGV $$").code == 128 + signal.SIGSEGV


def test_a_program_that_does_not_exist_is_told_from_a_sandbox_that_fails(house):
    done = house.run("", argv=("/nowhere",))
    index, error = done.exited.failed
    assert failure_at(index, (), house.inner) is None
    assert (done.code, os.strerror(error)) == (127, "No such file or directory")


def test_a_sandbox_that_cannot_be_made_is_told_from_an_exit_code_of_the_job(house):
    assert house.run("exit 1").exited.failed is None
    done = house.run("exit 1", spoil=lambda directory: directory.executable.parent.rmdir())
    assert done.exited.failed == (NOT_ENTERED, 0)
    assert "bwrap: Can't find source path" in done.output


def test_term_reaches_the_job_and_nothing_else(house):
    number, pipe = house.start("trap 'echo said goodbye; exit 7' TERM; echo up; while :; do sleep 0.01; done")
    assert pipe.readline() == b"up\n"
    house.kill(number)
    done = house.end_of(number, pipe)
    assert (done.code, done.exited.cause) == (7, EndCause.CANCELLED)
    assert done.output.splitlines()[-1] == "said goodbye"


def test_a_job_that_ignores_term_is_killed_after_the_grace(house):
    number, pipe = house.start("trap '' TERM; echo up; while :; do sleep 0.01; done")
    assert pipe.readline() == b"up\n"
    began = boot_seconds()
    house.kill(number, grace=0.3)
    done = house.end_of(number, pipe)
    assert done.code == 128 + signal.SIGKILL
    assert boot_seconds() - began >= 0.3


def test_when_its_program_has_ended_nothing_of_the_attempt_is_left(house):
    survivor = "trap '' HUP TERM; echo > up; exec sleep 1234567"
    stray = f'setsid -f env -i setsid -f sh -c "{survivor}" > /dev/null 2>&1; read x < up'
    number, pipe = house.start(f"mkfifo up; {stray}; exit 0")
    done = house.end_of(number, pipe)
    assert (done.code, done.exited.left) == (0, None)
    assert processes_with("1234567") == []


def test_everything_dies_with_the_supervisor(own_house):
    _, pipe = own_house.start("setsid -f sleep 1234568; echo up; exec sleep 1234569")
    assert pipe.readline() == b"up\n"
    eventually(lambda: len(processes_with("123456")) >= 2, WAIT_SECONDS, "the start of both")
    os.kill(own_house.supervisor, signal.SIGKILL)
    eventually(lambda: processes_with("123456") == [], WAIT_SECONDS, "the end of all processes")
    pipe.close()


def test_time_and_memory_of_all_its_processes_are_counted(house):
    use = "import sys; held = bytearray(150 << 20); sum(range(20_000_000))"
    done = house.run(f'/usr/bin/env python3 -c "{use}"; true', argv=("/bin/sh", "-c"))
    assert done.code == 0
    assert done.exited.peak_memory > 150 << 20
    assert done.exited.cpu_seconds > 0.1


def test_it_reads_and_writes_its_own_directory_at_the_same_path(house):
    directory = house.attempt()
    done = house.run(f"pwd; echo 1 > ../result/json; echo 2 > kept; mv kept {directory.checkpoint}/kept", at=directory)
    assert (done.code, done.output.strip()) == (0, str(directory.cwd))
    assert directory.result.read_text() == "1\n"
    assert (directory.checkpoint / "kept").read_text() == "2\n"


def test_it_renames_a_file_into_its_checkpoint_without_a_copy(house):
    done = house.run("touch a; ls -i a; mv a ../checkpoint/a; ls -i ../checkpoint/a")
    assert len({line.split()[0] for line in done.output.splitlines()}) == 1


def test_it_cannot_change_its_program_or_the_system(house):
    tries = ("../bin/x", "/usr/x", "/etc/x", "/x", "/dev/x")
    done = house.run("; ".join(f"(echo 1 > {path}) && echo could write {path}" for path in tries) + "; true")
    assert "could write" not in done.output
    assert len(done.output.splitlines()) == len(tries)


def test_it_sees_neither_homes_nor_other_attempts_nor_files_in_tmp(house):
    neighbour, own = house.attempt(), house.attempt()
    assert house.run(f"ls {house.work_dir}", at=own).output == f"{own.path.name}\n"
    assert house.run(f"ls {neighbour.path}", at=own).code != 0
    assert house.run("ls -d /home /root /run /var /sys 2> /dev/null").output == ""
    assert house.run("ls -A /tmp").output.split() == [house.work_dir.parts[2]]


def test_it_sees_what_programs_need_of_etc_and_no_other_file(house):
    assert house.run("id -un 0").output == "root\n"
    assert house.run("cat /etc/shadow").code != 0
    assert house.run("ls /etc/ssl/private").code != 0


def test_it_sees_only_its_own_processes(house):
    done = house.run("ls -d /proc/[0-9]* | wc -l; kill -9 -1 2> /dev/null; echo alive")
    count, alive = done.output.split()
    assert int(count) <= 4  # pid 1, the shell, ls, wc
    assert alive == "alive"


def test_it_cannot_kill_or_leave_pid_1(house):
    assert house.run("kill -9 1; kill -STOP 1; echo here; exit 5").code == 5


def test_it_has_no_network_unless_the_job_says_any(house):
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect = f'exec bash -c "exec 3<> /dev/tcp/127.0.0.1/{server.getsockname()[1]}" 2> /dev/null'
        assert house.run(connect).code != 0
        assert house.run(connect, network=Network.NONE).code != 0
        assert house.run(connect, network=Network.ANY).code == 0


def test_its_processes_can_talk_to_each_other_without_a_network(house):
    talk = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); "
        "c = socket.create_connection(s.getsockname()); s.accept()[0].sendall(b'hello'); print(c.recv(5))"
    )
    assert house.run(f'exec python3 -c "{talk}"').output == "b'hello'\n"


def test_it_cannot_make_a_socket_that_no_namespace_holds(house):
    for family in ("AF_VSOCK", "AF_ALG", "AF_PACKET"):
        make = f"import socket; socket.socket(socket.{family}, socket.SOCK_DGRAM if 'V' in '{family}' else 5)"
        done = house.run(f'exec python3 -c "{make}"')
        assert "Operation not permitted" in done.output


def test_no_variable_of_the_job_reaches_bubblewrap(house):
    """Its linker would load what the job says before there is a sandbox."""
    seen = house.run("echo $SAID; tr '\\0' ' ' < /proc/1/environ", env={"LD_PRELOAD": "/nowhere.so", "SAID": "here"})
    assert seen.output.count("/nowhere.so' from LD_PRELOAD cannot be preloaded") == 2  # sh and tr
    assert "here\n" in seen.output
    assert "SAID" not in seen.output


def test_it_can_make_no_namespace_of_its_own(house):
    assert house.run("unshare -U true").code != 0
    assert house.run("unshare -r -m true").code != 0


def test_what_is_unveiled_for_reading_cannot_be_written(house, elsewhere):
    elsewhere.chmod(0o777)
    (elsewhere / "file").write_text("here")
    read = {"unveil": (f"r:{elsewhere}",), "allowed": (f"rw:{elsewhere}",)}
    assert house.run(f"cat {elsewhere}/file; (echo 1 > {elsewhere}/new) || exit 9", **read).code == 9
    assert not (elsewhere / "new").exists()
    write = {"unveil": (f"rw:{elsewhere}",), "allowed": (f"rw:{elsewhere}",)}
    assert house.run(f"echo 1 > {elsewhere}/new", **write).code == 0
    assert (elsewhere / "new").exists()


def test_a_file_of_etc_that_is_unveiled_is_seen_besides_the_others(house):
    own = {"unveil": ("r:/etc/fstab",), "allowed": ("r:/etc/fstab",)}
    done = house.run("cmp /etc/fstab - && id -un 0", stdin=Path("/etc/fstab").read_bytes(), **own)
    assert done.output == "root\n"


def test_its_tmp_and_shared_memory_are_empty_private_and_bounded(house):
    for path in ("/tmp", "/dev/shm"):
        file = Path(path, f"filled-{os.getpid()}")
        done = house.run(f"head -c 80000000 /dev/zero > {file}; rm {file}")
        assert "No space left" in done.output
        assert not file.exists()


def test_it_runs_a_program_that_is_a_link_into_a_cache_elsewhere(house, elsewhere):
    (elsewhere / "cached").write_text("#!/bin/sh\necho cached\n")
    (elsewhere / "cached").chmod(0o755)
    directory = house.attempt()
    directory.executable.symlink_to(elsewhere / "cached")
    done = house.run("", argv=(str(directory.executable),), at=directory)
    assert (done.exited.failed, done.code, done.output) == (None, 0, "cached\n")


def test_it_has_no_capability_and_gains_none(house):
    done = house.run("grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status")
    assert done.output.split() == ["CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1"]


def test_what_somebody_removed_from_the_work_directory_is_made_anew(own_house):
    assert own_house.run("true").code == 0
    shutil.rmtree(own_house.work_dir / "own")
    assert own_house.run("id -un 0").output == "root\n"


def test_python_carries_out_the_steps_where_programs_in_memory_are_forbidden(work_dir):
    with closing(House(work_dir, SHIM, None)) as house:
        done = house.run("ls /proc/self/fd | wc -l; ls /proc/1/fd | wc -l; kill -SEGV $$")
        assert (done.code, done.output.split()) == (128 + signal.SIGSEGV, ["4", "3"])
        assert house.run("", argv=("/nowhere",)).code == 127


def test_the_wheels_program_is_copied_to_where_every_user_may_execute_it(work_dir, monkeypatch):
    monkeypatch.setenv("PATH", str(work_dir))
    for _ in range(2):
        found = find_bubblewrap(work_dir / "tools")
    assert Path(found.path).is_relative_to(work_dir)
    assert stat.S_IMODE(Path(found.path).stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("version", "mode", "is_used"), [("0.9.0", 0o755, False), ("0.10.0", 0o755, True), ("0.11.0", 0o4755, False)]
)
def test_the_systems_program_wins_if_it_is_new_enough_and_not_setuid(work_dir, monkeypatch, version, mode, is_used):
    system = work_dir / "bwrap"
    system.write_text(f"#!/bin/sh\necho bubblewrap {version}\n")
    system.chmod(mode)
    monkeypatch.setenv("PATH", f"{work_dir}:{os.environ['PATH']}")
    assert (find_bubblewrap(work_dir / "tools").path == str(system)) == is_used


def test_the_proof_makes_a_sandbox_as_the_user_of_an_attempt(work_dir):
    assert why_no_strict(find_launcher(), work_dir) is None
    if os.getuid() == 0:
        assert why_no_strict(find_launcher(), work_dir, become(USER)) is None


def test_where_the_host_allows_no_user_namespace_the_proof_says_what_bubblewrap_says(work_dir):
    bubblewrap = find_bubblewrap(work_dir / "tools").path
    outer = [bubblewrap, "--unshare-user", "--disable-userns", "--dev-bind", "/", "/", "--chdir", str(Path.cwd())]
    command = [*outer, sys.executable, "-c", PROOF, str(work_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS, check=True)
    assert done.stdout.startswith("bwrap: Creating new namespace failed")
