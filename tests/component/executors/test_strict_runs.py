"""Runs in the sandbox `strict`, from their dispatch to their events."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from executors.sandbox.bubblewrap import find_bubblewrap
from schemas.confinement import Confinement, Sandbox
from schemas.event import EndCause, Ended, Rejected

WAIT_SECONDS = 30.0
STRICT = Confinement(sandbox=Sandbox.STRICT)
PID = "#!/bin/sh\necho $PPID\n"
FRAGILE = """#!/bin/sh
[ -e {flag} ] && echo "bwrap: no more namespaces" >&2 && exit 1
exec {real} "$@"
"""
LEAVES = """
echo "{\\"left\\": 1}" > $TIDEMILL_RESULT
echo kept > $TIDEMILL_CHECKPOINT/file
cat
exit ${1:-0}
"""


@pytest.fixture
def no_namespaces(tmp_path):
    """A command that executes another one on a host that allows no more user namespaces."""
    bubblewrap = find_bubblewrap(tmp_path / "tools").path
    here = ("--dev-bind", "/", "/", "--chdir", str(Path.cwd()))
    return (bubblewrap, "--die-with-parent", "--unshare-user", "--disable-userns", *here)


@pytest.fixture
def fragile_bubblewrap(tmp_path, monkeypatch):
    """The system's bwrap, which fails as soon as the returned file exists."""
    flag, program = tmp_path / "fails", tmp_path / "bwrap"
    program.write_text(FRAGILE.format(flag=flag, real=find_bubblewrap(tmp_path / "tools").path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return flag


def test_a_strict_executor_runs_jobs_and_keeps_their_results_and_checkpoints(owner, executors, objects):
    executors.start(sandbox="strict")
    script = objects.script(LEAVES)
    succeeded = owner.run(script, payload=msgspec.Raw(b'{"in":1}'))
    assert (succeeded.exit_code, json.loads(succeeded.output)) == (0, {"in": 1})
    assert json.loads(bytes(succeeded.result.value)) == {"left": 1}
    failed = owner.run(script, args=("3",))
    assert (failed.cause, failed.exit_code) == (EndCause.EXITED, 3)
    again = owner.run(objects.script("cat $TIDEMILL_CHECKPOINT/file"), checkpoint=failed.checkpoint)
    assert again.output == "kept\n"


def test_a_job_gets_strict_from_an_executor_whose_default_is_less(owner, executors, objects):
    executors.start(sandbox="basic")
    parent = objects.put(PID.encode())
    assert owner.run(parent, confinement=STRICT).output == "1\n"
    assert owner.run(parent).output != "1\n"


def test_a_strict_executor_says_what_it_gives_in_its_heartbeat(owner, executors):
    executors.start(sandbox="strict")
    capabilities = owner.wait(owner.last_heartbeat).capabilities
    assert (capabilities.default, capabilities.sandboxes) == (Sandbox.STRICT, (Sandbox.STRICT,))


def test_a_job_that_asks_for_strict_is_not_run_with_less_where_there_is_none(owner, executors, objects, no_namespaces):
    executors.start(behind=no_namespaces)
    rejected = owner.run(objects.script("echo ran"), confinement=STRICT)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "the executor cannot give sandbox strict (it gives basic)"
    assert isinstance(owner.run(objects.script("echo ran")), Ended)
    capabilities = owner.last_heartbeat().capabilities
    assert capabilities.sandboxes == (Sandbox.BASIC,)
    assert any("no sandbox strict: bwrap: " in each for each in capabilities.lacks)


def test_an_executor_that_should_be_strict_and_cannot_does_not_start(executors, no_namespaces):
    executor = executors.start(sandbox="strict", behind=no_namespaces, wait=False)
    assert executor.process.wait(WAIT_SECONDS) != 0
    assert "this host cannot give TIDEMILL_SANDBOX=strict: bwrap: " in executor.log.read_text()


def test_an_attempt_whose_sandbox_cannot_be_made_is_rejected_with_what_bubblewrap_says(
    owner, executors, objects, fragile_bubblewrap
):
    executors.start(sandbox="strict")
    script = objects.script("echo ran; exit 1")
    assert owner.run(script).exit_code == 1
    fragile_bubblewrap.touch()
    rejected = owner.run(script)
    assert isinstance(rejected, Rejected)
    reason = "the process could not be confined: its sandbox cannot be made: bwrap: no more namespaces"
    assert rejected.reason == reason
