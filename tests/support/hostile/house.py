"""A house: one executor, hostile attempts as its jobs, and a neighbour of each that must not notice."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import msgspec

from schemas.confinement import Confinement, Network, Sandbox
from schemas.event import EndCause, Ended, Rejected
from tests.component.executors.conftest import Fleet, Objects, Owner, marked, s3_client
from tests.support.hostile.attempts import _PYTHON, Attempt, Key
from tests.support.hostile.line import Baits, Line

AT_ONCE = 8
WAIT_SECONDS = 120.0
_PATIENT = {"timeout_class": "1m", "limit": timedelta(seconds=60)}
"""The machine of the tests may be slow."""
_NEIGHBOUR = f"#!{_PYTHON}\n".encode() + (Path(__file__).parent / "neighbour.py").read_bytes()


@dataclass(slots=True, kw_only=True)
class Outcome:
    """How an attempt and its neighbour ended."""

    attempt: Attempt
    order: object = None
    twins: list[object] = field(default_factory=list)
    """The ends of its twins."""
    end: object = None
    verdict: dict[str, str] = field(default_factory=dict)
    survivors: list[str] = field(default_factory=list)
    """Command lines of its processes at the moment when its end was heard."""
    changed: dict[str, object] | None = None
    """What its neighbour lost."""
    neighbour: object = None
    """The end of the neighbour."""
    neighbour_mark: str = ""


class House:
    def __init__(self, key: Key, folder: Path, servers, connections, attempts: list[Attempt]) -> None:
        self.key, self.folder, self._environment = key, folder, servers.environment
        self.owner, self.objects = Owner(connections), Objects(s3_client(servers.environment))
        self.line, self.baits = Line(), Baits(folder)
        self.secret = secrets.token_hex(16)
        # Those that wait for a limit take the longest.
        self._waiting = deque(sorted(attempts, key=lambda each: each.needs is None))
        self._playing: list[Iterator[None]] = []
        self._outcomes = {each.name: Outcome(attempt=each) for each in attempts}
        self._make_secrets()
        self._fleet = Fleet(servers.environment, connections, folder)
        self._neighbour = self.objects.put(_NEIGHBOUR)
        try:
            self.executor = self._start_executor()
        except BaseException:
            self._fleet.close()
            raise
        self.supervisor = self.executor.supervisor
        self.owner.wait(self.owner.last_heartbeat)
        self.capabilities = self.owner.last_heartbeat().capabilities

    def _start_executor(self):
        return self._fleet.start(
            sandbox=self.key.sandbox.value,
            start_from_memory=self.key.start != "shim",
            behind=(sys.executable, "-m", "tests.support.hostile.as_user", self.key.user),
            secrets_dir=self.folder / "secrets",
            term_grace="PT1S",
            slots="1m=32",
        )

    def _make_secrets(self) -> None:
        """One is named as a result is, for attempts that put this directory in the result's place."""
        directory = self.folder / "secrets"
        directory.mkdir(mode=0o700)
        for name in ("key", "json"):
            (directory / name).write_text(json.dumps(self.secret))
            (directory / name).chmod(0o600)
        (self.folder / "public").write_text(self.secret)

    # The judge

    def judge(self, attempt: Attempt) -> None:
        outcome = self._outcomes[attempt.name]
        self.owner.wait(lambda: self._go_on() or outcome.neighbour, WAIT_SECONDS)
        self._is_well()
        _neighbour_is_well(outcome)
        (attempt.check or House.expect)(self, outcome)

    def can(self, attempt: Attempt) -> bool:
        return self.capabilities is not None and attempt.needs in self.capabilities.limits

    def expect(self, outcome: Outcome) -> None:
        """It got through without a sandbox, and was held in one."""
        attempt, end = outcome.attempt, outcome.end
        assert isinstance(end, Ended), end
        assert (end.cause, end.exit_code) == (EndCause.EXITED, 0), end.output
        gets_through = self.key.sandbox is Sandbox.NONE or self.key in attempt.known
        assert set(outcome.verdict) == {"through" if gets_through else "held"}, outcome.verdict or end.output
        if self.key.sandbox is not Sandbox.NONE:
            assert outcome.survivors == []

    def run_twin(self, outcome: Outcome):
        """Its program once more; returns the end."""
        executable = outcome.order.executable, outcome.order.sha256
        return self.owner.run(executable, args=("any", "twin"), **_PATIENT)

    def stored(self, uri: str) -> bytes:
        """An object in S3."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return self.objects._client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def _is_well(self) -> None:
        assert self.executor.process.poll() is None, self.executor.log.read_text()
        assert self.executor.supervisor == self.supervisor, "the supervisor is another process than at first"
        assert "Traceback" not in self.executor.log.read_text()

    # The play

    def _go_on(self) -> None:
        while self._waiting and len(self._playing) < AT_ONCE:
            self._playing.append(self._play(self._waiting.popleft()))
        for each in list(self._playing):
            if next(each, self) is self:
                self._playing.remove(each)

    def _play(self, attempt: Attempt) -> Iterator[None]:
        """Yields while it waits."""
        outcome, mark = self._outcomes[attempt.name], _new_mark()
        outcome.neighbour_mark, token = _new_mark(), secrets.token_hex(16)
        neighbour = self._start_neighbour(outcome.neighbour_mark, token)
        while not (said := self.line.said(outcome.neighbour_mark)):
            if ends := self.owner.of(neighbour, (Ended, Rejected)):
                outcome.neighbour = ends[0]
                return
            yield
        outcome.order, *twins = self._start(attempt, mark, {**said, "token": token})
        while not (ends := self.owner.of(outcome.order, (Ended, Rejected))):
            yield
        outcome.survivors = [_command(pid) for pid in marked(mark)]
        outcome.end = ends[0]
        outcome.verdict = _verdict(ends[0])
        outcome.changed = self.line.ask(outcome.neighbour_mark)
        while not (ends := self.owner.of(neighbour, (Ended, Rejected))):
            yield
        while not all(self.owner.of(each, (Ended, Rejected)) for each in twins):
            yield
        outcome.twins = [self.owner.end_of(each) for each in twins]
        outcome.neighbour = ends[0]
        for pid in marked(mark):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def _start_neighbour(self, mark: str, token: str):
        host, port = self.line.address
        strict = self.key.sandbox is Sandbox.STRICT
        order = self.owner.order(
            self._neighbour,
            args=(mark,),
            env={"SECRET": "secret:key"},
            payload=_json({"token": token, "host": host, "port": port}),
            confinement=Confinement(network=Network.ANY) if strict else None,
            **_PATIENT,
        )
        self.owner.dispatch(order)
        return order

    def _start(self, attempt: Attempt, mark: str, neighbour: dict[str, object]):
        confinement = None if self.key.sandbox is Sandbox.NONE else attempt.confinement
        executable = self.objects.put(attempt.script)
        target = {**self.facts(neighbour), **attempt.told, "executable": executable[1]}
        changes = {"confinement": confinement, **_PATIENT, **attempt.order}
        order = self.owner.order(executable, args=(mark,), payload=_json(target), **changes)
        beside = {"args": (mark, "twin"), "confinement": confinement, **_PATIENT}
        twins = [self.owner.order(executable, **beside) for _ in range(attempt.twins)]
        self.owner.dispatch(order, *twins)
        return order, *twins

    def facts(self, neighbour: dict[str, object]) -> dict[str, object]:
        """What an attacker may know of the house: more than a job of another tenant would."""
        pids = marked(str(neighbour["mark"]))
        tokens = [self.secret, neighbour["token"], self._environment["TIDEMILL_S3_SECRET_KEY"]]
        return {
            "executor": self.executor.process.pid,
            "supervisor": self.supervisor,
            "neighbours": pids,
            "neighbour_dir": neighbour["cwd"],
            "neighbour_checkpoint": neighbour["checkpoint"],
            "tokens": tokens,
            "secrets": str(self.folder / "secrets"),
            "work": str(self.executor.work),
            "house": str(self.folder),
            "kafka": self._environment["TIDEMILL_KAFKA_BOOTSTRAP"].rpartition(":")[2],
            "s3": self._environment["TIDEMILL_S3_ENDPOINT"].rpartition(":")[2],
            "baits": self.baits.addresses,
            "pid_namespace": os.readlink("/proc/self/ns/pid"),
            "user": self.key.user,
        }

    def close(self) -> None:
        self.executor.process.terminate()
        self.executor.process.wait(WAIT_SECONDS)
        self._fleet.close()
        self.owner.close()
        self.line.close()
        self.baits.close()


def _neighbour_is_well(outcome: Outcome) -> None:
    end = outcome.neighbour
    assert outcome.changed == {}, end
    assert isinstance(end, Ended), end
    assert (end.cause, end.exit_code, end.output) == (EndCause.EXITED, 0, "the neighbour ended\n")
    assert json.loads(bytes(end.result.value)) == {"neighbour": outcome.neighbour_mark}


def _verdict(end: object) -> dict[str, str]:
    lines = end.output.splitlines() if isinstance(end, Ended) else []
    try:
        return json.loads(lines[-1])
    except (IndexError, ValueError):
        return {}


def _new_mark() -> str:
    return f"mark-{secrets.token_hex(8)}"


def _json(value: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return str(pid)
