"""The process supervisor of an executor, and the processes that it starts: the rules are `executors/deadlines.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from executors.deadlines import (
    FOREVER,
    KILL,
    LEASE,
    TERM,
    ProcessTerms,
    Standing,
    enforce,
    may_start,
    next_moment,
    terminate,
)
from executors.supervisor_link import Exited, Renewed, Spawned, Spec
from schemas.dispatch import Dispatch
from schemas.event import EndCause
from tests.simulation.things.behavior import behavior_of
from tests.simulation.things.world import Process

if TYPE_CHECKING:
    from tests.simulation.things.executor import Executor
    from tests.simulation.things.witness import Execution

PIPE_SECONDS = 0.001
KILLED, TERMED = 137, 143


class JobProcess(Process):
    """A process of a run: it ends by itself, after TERM, or by KILL."""

    def __init__(self, supervisor: Supervisor, number: int, dispatch: Dispatch, terms: ProcessTerms) -> None:
        super().__init__(supervisor.world, dispatch.run_id)
        self.supervisor, self.number, self.terms = supervisor, number, terms
        self.standing = Standing(started=self.world.boot())
        self.behavior = behavior_of(supervisor.executor.deployment.seed, dispatch)
        was_fetched = terms.start_before == FOREVER
        executor = supervisor.executor
        self.execution: Execution = executor.deployment.witness.started(
            dispatch, executor.name, executor.given, was_fetched=was_fetched
        )
        self.after(self.behavior.seconds, self.end, self.behavior.exit_code)

    def end(self, code: int) -> None:
        if self.is_alive:
            self.is_alive = False
            self.supervisor.executor.deployment.witness.ended(self.execution, code)
            self.supervisor.after(0.0, self.supervisor.reap, self, code)

    def signal(self, name: str | None) -> None:
        if name == KILL:
            self.end(KILLED)
        elif name == TERM:
            self.execution.got_term = True
            if self.behavior.ends_after_term is not None:
                self.after(self.behavior.ends_after_term, self.end, self.behavior.code_after_term)

    def freeze(self, seconds: float) -> None:
        super().freeze(seconds)
        self.execution.frozen.append((self.world.now, self.world.now + seconds))


class Supervisor(Process):
    """It enforces before it obeys: a lease that expired while it was frozen is not renewed."""

    def __init__(self, executor: Executor) -> None:
        super().__init__(executor.world, f"supervisor of {executor.name}")
        self.executor = executor
        self.processes: dict[int, JobProcess] = {}
        self.renewed = 0.0

    def spawn(self, number: int, dispatch: Dispatch, terms: ProcessTerms, renewed: float) -> None:
        self._enforce()
        self.renewed = max(self.renewed, renewed)
        boot = self.world.boot()
        if not may_start(terms, boot, self.renewed):
            self._tell(Exited(number=number, code=None, cause=EndCause(LEASE), at=boot))
            return
        process = self.processes[number] = JobProcess(self, number, dispatch, terms)
        self._tell(Spawned(number=number, pid=number, at=boot))
        self._enforce_later(process)

    def renew(self, sent: float) -> None:
        self._enforce()
        self.renewed = max(self.renewed, sent)
        self._tell(Renewed(sent=sent))

    def kill_one(self, number: int, cause: EndCause, grace: float) -> None:
        self._enforce()
        process = self.processes.get(number)
        if process is not None and process.is_alive:
            process.standing, due = terminate(process.standing, self.world.boot(), cause.value, grace)
            process.signal(due)
            self._enforce_later(process)

    def kill_all(self) -> None:
        """The executor is gone: its end of the socket is closed."""
        for process in list(self.processes.values()):
            process.signal(KILL)
        self.is_alive = False

    def reap(self, process: JobProcess, code: int) -> None:
        if self.processes.pop(process.number, None) is not None:
            cause = EndCause(process.standing.cause)
            self.executor.world.coverage["end of a process", cause.value] += 1
            self._tell(Exited(number=process.number, code=code, cause=cause, at=self.world.boot()))

    def _enforce(self) -> None:
        for process in list(self.processes.values()):
            self._enforce_one(process)

    def _enforce_one(self, process: JobProcess) -> None:
        if not process.is_alive:
            return
        process.standing, due = enforce(process.terms, process.standing, self.world.boot(), self.renewed)
        process.signal(due)

    def _enforce_later(self, process: JobProcess) -> None:
        moment = next_moment(process.terms, process.standing, self.renewed)
        if process.is_alive and moment != FOREVER:
            self.after(max(0.0005, moment - self.world.boot()), self._enforce_again, process)

    def _enforce_again(self, process: JobProcess) -> None:
        self._enforce_one(process)
        self._enforce_later(process)

    def _tell(self, notice: Exited | Renewed | Spawned) -> None:
        self.executor.after(PIPE_SECONDS, self.executor.on_notice, notice)


class Link:
    """What a runner uses of `SupervisorLink`."""

    def __init__(self, executor: Executor, supervisor: Supervisor) -> None:
        self._executor, self._supervisor = executor, supervisor

    def spawn(self, number: int, spec: Spec, terms: ProcessTerms, renewed: float, stdin: bytes | None) -> int:
        dispatch = self._executor.runner.attempts[number].dispatch
        self._supervisor.after(PIPE_SECONDS, self._supervisor.spawn, number, dispatch, terms, renewed)
        return -1

    def renew(self, sent: float) -> None:
        self._supervisor.after(PIPE_SECONDS, self._supervisor.renew, sent)

    def kill(self, number: int, cause: EndCause, grace: float) -> None:
        self._supervisor.after(PIPE_SECONDS, self._supervisor.kill_one, number, cause, grace)
