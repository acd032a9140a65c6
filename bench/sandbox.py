"""Measures what a sandbox adds to the start of a process, and to /bin/true through the whole pipeline."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter

from bench.baselines import TRUE
from bench.figure import Bench, Figure, Line, NotMeasuredError, percentile
from bench.stacks import Shape
from bench.throughput import run_true
from executors.attempt_dirs import AttemptDir, AttemptDirs
from executors.clock import boot_seconds
from executors.deadlines import ProcessTerms
from executors.sandbox.confine import Confiner, make_confiner
from executors.sandbox.launch import Launcher, find_launcher
from executors.sandbox.strict import open_strict, why_no_strict
from executors.sandbox.users import Users, find_users
from executors.supervisor_link import Exited, Notice, Spec, SupervisorLink
from executors.threads import started_pool
from schemas.confinement import Capabilities, Confinement, Sandbox

MOST_TIMES = 1.15
LEAST_SHARE = 95
WARM = 20
WAIT_SECONDS = 20.0
KINDS = (None, Sandbox.BASIC, Sandbox.STRICT)
PIPELINE = (Sandbox.NONE, Sandbox.BASIC)


def measure(bench: Bench) -> Iterator[Line]:
    yield from _starts(bench.pick(2_000, 150))
    yield from _pipeline(bench)


def _starts(rounds: int) -> Iterator[Line]:
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o711)
        found = asyncio.run(_rounds(Path(made), rounds))
    none, basic, strict = zip(*found, strict=True)
    yield Line(what="no sandbox: from the order to the end of /bin/true, p50", value=percentile(none, 0.5), unit="ms")
    for name, times, at_most in (("basic", basic, MOST_TIMES), ("strict", strict, None)):
        ratio = percentile((each / other for each, other in zip(times, none, strict=True)), 0.5)
        yield Line(what=f"{name}, p50", value=percentile(times, 0.5), unit="ms")
        yield Line(what=f"{name}, as long as without, median of pairs", value=ratio, unit="times", at_most=at_most)


async def _rounds(work_dir: Path, rounds: int) -> Sequence[Sequence[float]]:
    """Milliseconds of each kind, one after the other in each round, so that all kinds meet the same load."""
    launcher = find_launcher()
    if reason := why_no_strict(launcher, work_dir):
        raise NotMeasuredError(reason)
    house = _House(work_dir, launcher)
    try:
        return [[await house.run(kind) for kind in KINDS] for _ in range(WARM + rounds)][WARM:]
    finally:
        house.close()


class _House:
    """A process supervisor, and a directory in which one attempt runs after the other."""

    def __init__(self, work_dir: Path, launcher: Launcher) -> None:
        self._number, self._ended = 0, asyncio.Event()
        self._confiner = _confiner(work_dir, launcher)
        self._users = find_users(work_dir)
        self._directory = _attempt_dir(work_dir, self._users)
        self._link = SupervisorLink(on_notice=self._hear, on_death=self._ended.set, launcher=launcher)

    async def run(self, kind: Sandbox | None) -> float:
        """Milliseconds until the supervisor reports the end."""
        self._number += 1
        self._ended.clear()
        began, directory = perf_counter(), self._directory
        by = self._confiner.confine(Confinement(sandbox=kind), directory, self._number)
        spec = Spec(
            argv=(*by.prefix, str(directory.executable)),
            env={"PATH": os.environ["PATH"]},
            cwd=directory.cwd,
            steps=by.steps,
            fds=by.fds,
            inner=by.inner,
            user=directory.user,
        )
        output = self._link.spawn(self._number, spec, _terms(), boot_seconds(), None)
        async with asyncio.timeout(WAIT_SECONDS):
            await self._ended.wait()
        os.close(output)
        return (perf_counter() - began) * 1000

    def close(self) -> None:
        self._link.close()
        self._confiner.close()
        if not isinstance(self._users, str):
            self._users.close()

    def _hear(self, notice: Notice) -> None:
        if isinstance(notice, Exited):
            if notice.code != 0:
                raise NotMeasuredError(f"/bin/true ended with {notice.code}, {notice.failed}")
            self._ended.set()


def _confiner(work_dir: Path, launcher: Launcher) -> Confiner:
    capabilities = Capabilities(sandboxes=(Sandbox.BASIC, Sandbox.STRICT), default=Sandbox.NONE)
    return make_confiner(capabilities, open_strict(work_dir / "strict", launcher), spare_dirs=1)


def _attempt_dir(work_dir: Path, users: Users | str) -> AttemptDir:
    """As an executor makes it: with a user of its own, if this process may give it one."""
    program = work_dir / "true"
    program.write_bytes(Path(TRUE).read_bytes())
    program.chmod(0o555)
    owners = None if isinstance(users, str) else users
    return AttemptDirs(work_dir, started_pool(1, "bench"), spare=1, users=owners).take(program, program.name)


def _terms() -> ProcessTerms:
    now = boot_seconds()
    return ProcessTerms(limit=60.0, grace=5.0, lease=60.0, margin=5.0, start_before=now + 60)


def _pipeline(bench: Bench) -> Iterator[Line]:
    """Stacks with and without a sandbox take turns, because the machine gets slower and faster."""
    count, pairs = bench.pick(10_000, 500), bench.pick(3, 1)
    rates: dict[Sandbox, list[float]] = {kind: [] for kind in PIPELINE}
    for _ in range(pairs):
        for kind in PIPELINE:
            client = bench.stacks.get(Shape(executor_env={"TIDEMILL_SANDBOX": kind.value}))
            rates[kind].append(run_true(client, count).rate)
    none, basic = (rates[kind] for kind in PIPELINE)
    share = percentile((each / other for each, other in zip(basic, none, strict=True)), 0.5)
    yield Line(
        what="/bin/true through everything in basic, in % of the rate without, median of pairs",
        value=100 * share,
        unit="%",
        at_least=LEAST_SHARE,
        baseline=f"none {_in_words(none)}, basic {_in_words(basic)}",
    )


def _in_words(rates: Sequence[float]) -> str:
    return f"{', '.join(f'{each:.0f}' for each in rates)}/s"


FIGURES = (Figure(name="sandbox", claim="a process starts in its sandbox", measure=measure),)
