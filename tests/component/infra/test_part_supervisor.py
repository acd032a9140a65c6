"""The supervisor, with small processes as parts: order, restarts, limits, and a clean end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.errors import StackError
from infra.part import Part
from infra.part_supervisor import BOOT_DEATHS, PartSupervisor
from infra.ports import Ports
from infra.process import identify, spawn
from infra.ready import http_status, why_not_live
from infra.wakeup import Wakeup
from tests.support.waiting import eventually

LIMIT_SECONDS = 20
SLEEP = ("sleep", "600")
SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
port, complaints = map(int, sys.argv[1:])
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        global complaints
        print(self.path)
        denies = self.path == "/livez" and complaints > 0
        complaints -= denies
        self.send_response(503 if denies else 200)
        self.end_headers()
        self.wfile.write(b"the loop 'sink' stands\\n")
HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


class Scene:
    """A supervisor that stops as soon as `until` holds."""

    def __init__(self, *parts: Part, **limits: int) -> None:
        self.events: list[str] = []
        self.until = lambda: False
        self.deadline = time.monotonic() + LIMIT_SECONDS
        self.supervisor = PartSupervisor(
            parts, on_event=self.events.append, on_change=lambda: None, should_stop=self._over, **limits
        )

    def run(self, until, on_ready=lambda: None) -> None:
        self.until = until
        with Wakeup() as wakeup:
            self.supervisor.run(wakeup, on_ready)
        assert time.monotonic() < self.deadline, self.events

    def pid(self, name: str) -> int | None:
        return next(each["pid"] for each in self.supervisor.processes() if each["name"] == name)

    def states(self) -> dict[str, str]:
        return {each["name"]: each["state"] for each in self.supervisor.processes()}

    def _over(self) -> bool:
        return self.until() or time.monotonic() > self.deadline


@pytest.fixture
def part(tmp_path):
    def make(name, *argv, **fields):
        values = {"argv": argv or SLEEP, "log": tmp_path / f"{name}.log", "is_ready": lambda: True}
        return Part(**{"name": name, **values, **fields})

    return make


@pytest.fixture
def served(part, tmp_path):
    """A part that logs what it is asked, and denies `complaints` times that it is live."""
    ports = Ports(tmp_path, tmp_path, ["a"])
    port = ports.by_name["a"]

    def make(complaints):
        argv = (sys.executable, "-u", "-c", SERVER, str(port), str(complaints))
        return part("a", *argv, is_ready=lambda: http_status(port, "/readyz") == 200, observe_port=port)

    yield make
    ports.close()


def shell(script):
    return ("sh", "-c", script)


def test_a_part_that_dies_is_restarted_and_this_is_reported(part):
    scene = Scene(part("a"))
    pids = set()

    def killed_and_back():
        pid = scene.pid("a")
        if pid is not None and scene.supervisor.booted and not pids:
            pids.add(pid)
            os.kill(pid, signal.SIGKILL)
        return bool(pids) and scene.states()["a"] == "running" and pid not in {None, *pids}

    scene.run(killed_and_back)
    assert scene.events == ["a ended (killed by SIGKILL); it starts again in 0.5 s."]


def test_parts_start_after_what_they_wait_for_and_stop_before_what_they_use(part, tmp_path):
    journal = tmp_path / "journal"
    noted = "echo +{0} >> {1}; trap 'echo -{0} >> {1}; exit 0' TERM; touch {2}; while :; do sleep 0.05; done"

    def journaled(name, **fields):
        ready = tmp_path / f"{name}.ready"
        script = noted.format(name, journal, ready)
        return part(name, *shell(script), is_ready=ready.exists, **fields)

    scene = Scene(
        journaled("client", waits_for=("job",), uses=("server",)),
        part("job", *shell(f"echo job >> {journal}"), once=True, waits_for=("server",)),
        journaled("server"),
    )
    ready = []
    scene.run(lambda: bool(ready), lambda: ready.append(scene.states()))
    assert ready == [{"client": "running", "server": "running"}]
    assert journal.read_text().split() == ["+server", "job", "+client", "-client", "-server"]
    assert set(scene.states().values()) == {"stopped"}


def test_a_part_that_never_comes_up_ends_the_start_with_the_end_of_its_log(part):
    scene = Scene(part("bad", *shell("echo the reason >&2; exit 3"), is_ready=bool), part("good"))
    with pytest.raises(StackError, match=rf"(?s)bad ended {BOOT_DEATHS} times \(exit code 3\).*the reason"):
        scene.run(lambda: False)
    assert scene.pid("good") is None
    assert set(scene.states().values()) == {"stopped"}


def test_a_program_that_does_not_exist_is_named(part):
    scene = Scene(part("bad", "/no/such/program", is_ready=bool))
    with pytest.raises(StackError, match=r"(?s)/no/such/program could not be started: .*No such file"):
        scene.run(lambda: False)


def test_a_part_that_hangs_in_its_start_is_killed_and_started_again(part, tmp_path):
    second = tmp_path / "second"
    script = f"test -e {second} && touch {second}.ready; touch {second}; exec sleep 600"
    ready = Path(f"{second}.ready")
    scene = Scene(part("slow", *shell(script), is_ready=ready.exists, start_seconds=0.3))
    scene.run(lambda: scene.supervisor.booted)
    assert scene.events[0] == "slow was not ready after 0.3 s; it is killed."


def test_a_part_that_ignores_the_request_to_stop_is_killed_with_its_children(part, tmp_path):
    child = tmp_path / "child"
    script = f"trap '' TERM; sleep 600 & echo $! > {child}; wait; while :; do sleep 1; done"
    scene = Scene(part("deaf", *shell(script), stop_seconds=0.3))
    scene.run(lambda: child.exists() and child.read_text().strip())
    assert scene.events == ["deaf did not stop within 0.3 s; it is killed."]
    eventually(lambda: identify(int(child.read_text())) is None)


def test_a_job_of_the_start_that_fails_is_tried_again_until_it_is_done(part, tmp_path):
    tried = tmp_path / "tried"
    scene = Scene(part("job", *shell(f"test -e {tried} || {{ touch {tried}; exit 1; }}"), once=True))
    scene.run(lambda: scene.supervisor.booted)
    assert scene.events == ["job ended (exit code 1); it starts again in 0.5 s."]
    assert scene.supervisor.processes() == ()


def test_a_part_that_denies_three_times_in_a_row_that_it_is_live_is_killed_and_started_again(served, monkeypatch):
    monkeypatch.setattr("infra.part_supervisor.LIVE_SECONDS", 0.05)
    scene = Scene(served(complaints=1000))
    scene.run(lambda: len(scene.events) == 2)
    assert scene.events == [
        "a is not live: the loop 'sink' stands. It is killed.",
        "a ended (killed by SIGKILL); it starts again in 0.5 s.",
    ]


def test_a_part_that_is_live_again_after_two_denials_goes_on(served, monkeypatch):
    monkeypatch.setattr("infra.part_supervisor.LIVE_SECONDS", 0.05)
    each = served(complaints=2)
    scene = Scene(each)
    scene.run(lambda: each.log.exists() and each.log.read_text().count("/livez") > 5)
    assert scene.events == []


def test_a_part_that_does_not_answer_denies_nothing():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert why_not_live(silent.getsockname()[1]) is None


def test_a_signal_stops_everything_and_is_not_raised(part):
    scene = Scene(part("a"))
    scene.run(lambda: False, on_ready=lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert scene.states() == {"a": "stopped"}


def test_a_log_that_grew_too_large_is_rotated_at_the_next_start(part, tmp_path):
    each = part("a", *shell("echo new"))
    each.log.write_text("old\n" * 10)
    spawn(each, log_limit=20).wait()
    assert each.log.read_text() == "new\n"
    assert (tmp_path / "a.log.1").read_text() == "old\n" * 10
    spawn(each, log_limit=20).wait()
    assert each.log.read_text() == "new\nnew\n"


def test_a_log_that_grows_too_large_is_rotated_while_its_part_writes_to_it(part, monkeypatch):
    monkeypatch.setattr("infra.part_supervisor.LOG_SECONDS", 0.05)
    each = part("a", *shell("while :; do echo line; done"))
    before = Path(f"{each.log}.1")
    scene = Scene(each, log_limit=20_000)
    scene.run(lambda: before.exists() and each.log.stat().st_size > 100)
    assert before.stat().st_size > 20_000
    assert set(each.log.read_text().splitlines()) == {"line"}, "it goes on at the new end, without a hole before it"


def test_a_part_dies_with_the_process_that_started_it_however_that_ends(part, tmp_path):
    pid_file = tmp_path / "pid"
    program = f"""
import sys, time
from pathlib import Path
from infra.part import Part
from infra.process import spawn
child = spawn(Part(name="a", argv=("sleep", "600"), log=Path({str(tmp_path / "a.log")!r}), is_ready=bool))
Path({str(pid_file)!r}).write_text(str(child.pid) + "\\n")
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", program])
    eventually(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    pid = int(pid_file.read_text())
    assert identify(pid) is not None
    parent.kill()
    parent.wait()
    eventually(lambda: identify(pid) is None)


def test_parts_receive_signals_that_python_or_a_shell_ignores(part):
    each = part("a", "grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status")
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        spawn(each).wait()
    finally:
        signal.signal(signal.SIGINT, former)
    masks = {int(line.split()[1], 16) for line in each.log.read_text().splitlines()}
    watched = [signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP]
    assert not any(mask & (1 << (number - 1)) for mask in masks for number in watched)
