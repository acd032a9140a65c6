"""The sandbox `strict`: what bubblewrap shows a process, and when it cannot be had."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from executors.sandbox.bubblewrap import find_bubblewrap
from executors.sandbox.strict import Own, arguments, prove, view

WAIT_SECONDS = 15.0
USER = 1_900_000_777
NO_MORE_NAMESPACES = """
import sys
from pathlib import Path
from executors.sandbox.bubblewrap import find_bubblewrap
from executors.sandbox.strict import NoSandboxError, prove, view
try:
    prove(find_bubblewrap(Path(sys.argv[1], "inner")), view((), ()), parent=Path(sys.argv[1]), user=None)
except NoSandboxError as error:
    print(error)
"""


@pytest.fixture
def work_dir(tmp_path_factory):
    """Below a directory that every user may enter, as the executor's is."""
    made = tmp_path_factory.mktemp("work")
    for each in (made, *made.parents[:2]):
        each.chmod(0o711)
    return made


@pytest.fixture
def bubblewrap(work_dir):
    return find_bubblewrap(work_dir / "tools")


class Attempt:
    """An attempt's directory, and scripts in its sandbox."""

    def __init__(self, bubblewrap, parent, name="1"):
        self._bubblewrap, self.directory = bubblewrap, parent / name
        for part in ("bin", "work", "checkpoint", "result"):
            (self.directory / part).mkdir(parents=True)
        self.view = view(("/etc/passwd",), (parent,))

    def own(self, **more):
        place = {
            "directory": self.directory,
            "executable": self.directory / "bin" / "x",
            "cwd": self.directory / "work",
        }
        return Own(**{**place, **more})

    def sh(self, script, **more):
        command = [*arguments(self._bubblewrap, self.view, self.own(**more)), "/bin/sh", "-c", script]
        path = {"PATH": "/usr/bin:/bin"}
        return subprocess.run(command, check=False, env=path, capture_output=True, text=True, timeout=WAIT_SECONDS)


@pytest.fixture
def attempt(bubblewrap, work_dir):
    return Attempt(bubblewrap, work_dir)


def test_it_reads_and_writes_its_own_directory_at_the_same_path(attempt):
    done = attempt.sh(f"pwd; echo 1 > ../result/json; echo 2 > kept; mv kept {attempt.directory}/checkpoint/kept")
    assert (done.returncode, done.stdout.strip()) == (0, str(attempt.directory / "work"))
    assert (attempt.directory / "result" / "json").read_text() == "1\n"
    assert (attempt.directory / "checkpoint" / "kept").read_text() == "2\n"


def test_it_renames_a_file_into_its_checkpoint_without_a_copy(attempt):
    rename = "import os; open('a', 'w'); os.rename('a', '../checkpoint/a'); print('renamed')"
    assert (
        attempt.sh(f'{sys.executable} -I -S -c "{rename}"', readable=(sys.prefix, sys.base_prefix)).stdout
        == "renamed\n"
    )


def test_it_cannot_change_its_program_or_the_system(attempt):
    tries = ("../bin/x", "/usr/x", "/etc/x", "/x", "/dev/x")
    done = attempt.sh("; ".join(f"(echo 1 > {path}) && echo {path}" for path in tries) + "; true")
    assert (done.stdout, len(done.stderr.splitlines())) == ("", len(tries))


def test_it_sees_neither_homes_nor_other_attempts_nor_files_in_tmp(attempt, bubblewrap, work_dir):
    Attempt(bubblewrap, work_dir, name="2")
    home, beside = attempt.sh("ls /home /root"), attempt.sh(f"ls {work_dir}; ls -A /tmp/*/* | head -1")
    assert home.stdout == ""
    assert beside.stdout.split()[0] == "1"
    assert "2" not in beside.stdout.split()


def test_the_directory_of_all_attempts_stays_hidden_below_a_path_that_it_unveils(attempt, bubblewrap, work_dir):
    Attempt(bubblewrap, work_dir, name="2")
    done = attempt.sh(f"ls {work_dir}", readable=(str(work_dir.parent),))
    assert done.stdout == "1\n"


def test_it_sees_only_its_own_processes(attempt):
    done = attempt.sh("ls -d /proc/[0-9]* | wc -l; kill -9 -1; echo alive")
    assert int(done.stdout.split()[0]) <= 4  # the shell, ls, wc
    assert done.stdout.split()[1] == "alive"


def test_it_has_no_network_unless_it_is_given_one(attempt):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f'bash -c "echo > /dev/tcp/127.0.0.1/{port}"'
        assert attempt.sh(script).returncode != 0
        assert attempt.sh(script, has_network=True).returncode == 0


def test_what_is_unveiled_for_reading_cannot_be_written(attempt, tmp_path):
    (tmp_path / "file").write_text("here")
    read, write = {"readable": (str(tmp_path),)}, {"writable": (str(tmp_path),)}
    assert attempt.sh(f"cat {tmp_path}/file", **read).stdout == "here"
    assert attempt.sh(f"echo 1 > {tmp_path}/new", **read).returncode != 0
    assert attempt.sh(f"echo 1 > {tmp_path}/new", **write).returncode == 0
    assert (tmp_path / "new").exists()


def test_its_tmp_and_shared_memory_are_empty_private_and_bounded(attempt):
    for path in ("/tmp", "/dev/shm"):
        file = Path(path, f"{attempt.directory.parent.name}-{os.getpid()}")
        done = attempt.sh(f"ls -A {path}; head -c 80000000 /dev/zero > {file}; rm {file}")
        assert (done.stdout.strip() in ("", attempt.directory.parts[2]), "No space left" in done.stderr) == (True, True)
        assert not file.exists()


def test_it_runs_a_program_that_is_a_link_into_a_cache_elsewhere(attempt, tmp_path):
    (tmp_path / "cached").write_text("#!/bin/sh\necho cached\n")
    (tmp_path / "cached").chmod(0o755)
    attempt.own().executable.symlink_to(tmp_path / "cached")
    assert attempt.sh("../bin/x; ls ../bin").stdout == "cached\nx\n"


def test_it_has_no_capability_and_gains_none(attempt):
    done = attempt.sh("grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status")
    assert done.stdout.split() == ["CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1"]


def test_the_wheels_program_works_for_every_user_and_only_its_owner_may_change_it(bubblewrap, work_dir, monkeypatch):
    monkeypatch.setenv("PATH", str(work_dir))
    found = find_bubblewrap(work_dir / "tools")
    assert Path(found.path).is_relative_to(work_dir)
    assert stat.S_IMODE(Path(found.path).stat().st_mode) == 0o755
    prove(found, view((), (work_dir,)), parent=work_dir, user=USER if os.getuid() == 0 else None)


@pytest.mark.parametrize(
    ("version", "mode", "is_used"), [("0.7.9", 0o755, False), ("0.8.0", 0o755, True), ("0.11.0", 0o4755, False)]
)
def test_the_systems_program_wins_if_it_is_new_enough_and_not_setuid(work_dir, monkeypatch, version, mode, is_used):
    system = work_dir / "bwrap"
    system.write_text(f"#!/bin/sh\necho bubblewrap {version}\n")
    system.chmod(mode)
    monkeypatch.setenv("PATH", f"{work_dir}:{os.environ['PATH']}")
    assert (find_bubblewrap(work_dir / "tools").path == str(system)) == is_used


def test_where_the_host_allows_no_user_namespace_the_proof_fails_with_what_bubblewrap_says(bubblewrap, work_dir):
    outer = [bubblewrap.path, "--unshare-user", "--disable-userns", "--dev-bind", "/", "/", "--chdir", str(Path.cwd())]
    command = [*outer, sys.executable, "-c", NO_MORE_NAMESPACES, str(work_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS, check=True)
    assert done.stdout.startswith("Creating new namespace failed")
