"""What a job can do under the sandbox of a real executor: one of root, and one of a plain user."""

from __future__ import annotations

import sys
import tempfile
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from executors.removal import remove_tree
from schemas.confinement import Confinement, Limit, Network, Sandbox
from schemas.event import Ended, Rejected
from tests.component.executors.conftest import Fleet, Owner, make_connections

AS_USER = (sys.executable, "-m", "tests.support.hostile.as_user")


@pytest.fixture(scope="module", params=["root", "plain"])
def stage(request, shared_servers):
    """An executor in `basic` and its owner."""
    connections = make_connections(shared_servers.environment)
    folder = Path(tempfile.mkdtemp(prefix="tidemill-sandbox-"))  # below directories that every user may pass
    folder.chmod(0o755)
    (folder / "secrets").mkdir()
    try:
        with (
            closing(Owner(connections)) as owner,
            closing(Fleet(shared_servers.environment, connections, folder)) as fleet,
        ):
            yield owner, fleet.start(behind=(*AS_USER, request.param), secrets_dir=folder / "secrets")
    finally:
        remove_tree(folder)


@pytest.fixture
def run(stage, objects):
    """Runs a script and returns its end."""
    owner, _ = stage
    return lambda text, **changes: owner.run(objects.script(text), **changes)


def test_a_job_works_in_its_own_directories(run):
    script = 'cd "$HOME" && echo a > b && mv b "$TIDEMILL_CHECKPOINT/c" && mktemp && echo 1 > "$TIDEMILL_RESULT"'
    ended = run(script)
    assert (ended.exit_code, ended.checkpoint_problem) == (0, None), ended.output
    assert ended.result.bytes == 1
    assert ended.output.startswith("/")


@pytest.mark.parametrize(
    "path", ["/tmp/of-a-job", "/dev/shm/of-a-job", "../x", "../bin/x", "../../x", "/usr/of-a-job", "/proc/self/comm"]
)
def test_a_job_writes_nothing_elsewhere(run, path):
    ended = run(f"echo x > {path}")
    assert ended.exit_code != 0
    assert "Permission denied" in ended.output or "Read-only" in ended.output


@pytest.mark.parametrize("path", ["/tmp", "/home", "/run", "..", "/etc", "/var/log"])
def test_a_job_sees_nothing_of_the_rest_of_the_host(run, path):
    ended = run(f"ls {path}")
    assert "Permission denied" in ended.output


def test_no_environment_of_another_process_can_be_read(run, stage):
    _, executor = stage
    for pid in (executor.process.pid, executor.supervisor, 1):
        ended = run(f"cat /proc/{pid}/environ")
        assert ended.exit_code != 0
        assert "Permission denied" in ended.output


def test_a_job_cannot_signal_its_executor(run, stage):
    _, executor = stage
    ended = run(f"kill -9 $PPID; kill -9 {executor.process.pid}; kill -9 -1; echo on")
    assert ended.output.count("ermitted") >= 2
    assert executor.process.poll() is None


def test_a_process_holds_no_privileges_and_no_descriptors(run):
    ended = run("grep -E 'Cap(Eff|Prm|Amb)|NoNewPrivs|Seccomp:' /proc/self/status; ls /proc/self/fd")
    lines = ended.output.split("\n")
    assert [each.split()[1] for each in lines[:5]] == ["0" * 16, "0" * 16, "0" * 16, "1", "2"]
    assert lines[5:] == ["0", "1", "2", "3", ""]  # ls reads the directory by 3


def test_the_tag_of_an_attempt_cannot_be_changed(run):
    ended = run("ulimit -R; ulimit -R 5; ulimit -H -R; grep realtime.timeout /proc/self/limits")
    assert "2305843009213" in ended.output


def test_a_job_without_network_gets_no_socket(run):
    script = "exec python3 -c 'import socket; socket.socketpair(); socket.socket()'"
    ended = run(script, confinement=Confinement(network=Network.NONE))
    assert "Operation not permitted" in ended.output
    assert run(script).exit_code == 0


def test_what_no_allow_list_names_is_refused_with_a_sentence(run):
    rejected = run("true", confinement=Confinement(unveil=("r:/srv",)))
    assert isinstance(rejected, Rejected)
    assert "unveil r:/srv" in rejected.reason


def test_a_file_that_cannot_be_executed_says_why(stage, objects):
    owner, _ = stage
    ended = owner.run(objects.put(b"#!/no/such/interpreter\n"))
    assert isinstance(ended, Ended)
    assert ended.exit_code == 127
    assert "failed to execute" in ended.output


def test_the_heartbeat_says_what_the_executor_gives(stage):
    owner, _ = stage
    owner.wait(owner.last_heartbeat)
    given = owner.last_heartbeat().capabilities
    assert given.default is Sandbox.BASIC
    assert Sandbox.BASIC in given.sandboxes
    assert Limit.NETWORK in given.limits


def test_a_job_can_open_its_own_input_and_output_by_name(run):
    script = "cat /dev/stdin; echo out > /dev/stdout; echo err > /dev/stderr; echo fd > /proc/self/fd/1"
    assert run(script, payload=msgspec.Raw(b'"in"')).output == '"in"out\nerr\nfd\n'


def test_the_shell_of_a_job_can_use_what_shells_use(run):
    script = "cat <<EOF | sort | uniq > sorted\nb\na\nEOF\ncat sorted; mkfifo f; (echo x > f &); cat f; mkdir d"
    assert run(script).output == "a\nb\nx\n"
