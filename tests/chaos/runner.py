"""One run of chaos: a stack under load, faults by a seed, then rest, and what was measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.chaos.faults import Faults
from tests.chaos.log import Happened, Log
from tests.chaos.measure import Measures
from tests.chaos.quiet import await_quiet, await_whole
from tests.chaos.schedule import LANES, Lane, Planned, alone, storm
from tests.chaos.site import Site
from tests.chaos.table import Measured

ROUND_SECONDS = 600
"""The faults that are measured come once in so long a time."""
CALM_SECONDS = 22.0
"""After each of them: as long as `measure.AFTER`, and a bit."""
BACK_SECONDS = 90.0
"""So long it is waited for lost runs."""
LOOK_SECONDS = 0.5


class Run:
    """`say` gets a line for each step."""

    def __init__(self, site: Site, log: Log, seed: int, say: Callable[[str], None]) -> None:
        self._site, self._log, self._seed, self._say = site, log, seed, say
        self._faults, self._measures = Faults(site, log), Measures(site)
        self.back: list[tuple[Happened, float]] = []
        """For each executor that was killed alone: seconds until its runs ran again."""
        self._errors: list[BaseException] = []

    def begin(self) -> None:
        self._measures.begin()

    def play(self, seconds: float) -> None:
        """Faults for about so long, in rounds: some alone, and then all together."""
        rounds = max(1, round(seconds / ROUND_SECONDS))
        for number in range(rounds):
            until = time.monotonic() + seconds / rounds
            seed = self._seed * 1000 + number
            self._play_alone(seed)
            self._play_storm(storm(seed, max(until - time.monotonic(), seconds / rounds / 2)))
            await_whole(self._site)

    def rest(self, journals: Path) -> None:
        """All that is open ends: of the load with these journals, and of ours."""
        await_whole(self._site)
        self._faults.await_in_sync()
        await_quiet(self._site, journals)

    def measured(self) -> list[Measured]:
        """Of the faults that came alone; call it at rest, when the read model is complete."""
        found = [Measured(fault=fault, seconds=seconds) for fault, seconds in self.back]
        for each in self._log.happened:
            if each.alone and each.left_out is None and each.fault == "workers: kill":
                found.append(Measured(fault=each, seconds=self._measures.next_dispatch(each)))
            if each.alone and each.left_out is None and each.fault == "brokers: kill":
                lost = self._measures.called_lost(each)
                found.append(Measured(fault=each, seconds=self._measures.longest_gap(each), lost=lost))
        return found

    def _play_alone(self, seed: int) -> None:
        self._measures.tick()
        for planned in alone(seed):
            self._measures.await_ticks()
            self._say(f"alone: {planned.lane}: {planned.kind} {planned.target}")
            began = time.monotonic()
            if planned.lane == "executors":
                self._lose_runs(planned)
            else:
                self._faults.do(planned, alone=True)
            time.sleep(max(CALM_SECONDS - (time.monotonic() - began), 0))
        self._measures.stop_ticks()

    def _lose_runs(self, planned: Planned) -> None:
        """The victim is the executor that has most to lose."""
        runs = self._measures.lasting_runs()
        victim, held = self._measures.held(runs)
        fault = self._faults.do(msgspec.structs.replace(planned, target=victim), alone=True)
        deadline = time.monotonic() + BACK_SECONDS
        while (seconds := self._measures.back_after(held, fault.at)) is None and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        found = BACK_SECONDS if seconds is None else seconds
        self._say(f"{len(held)} of {len(runs)} runs were lost, and ran again after {found:.1f} s")
        self.back.append((fault, found))
        self._measures.stop(sorted(set(runs) - set(held)))

    def _play_storm(self, faults: tuple[Planned, ...]) -> None:
        began = time.monotonic()
        self._say(f"a storm of {len(faults)} faults")
        threads = [
            threading.Thread(target=self._play_lane, args=(lane, faults, began), name=lane, daemon=True)
            for lane in LANES
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        if self._errors:
            raise self._errors[0]

    def _play_lane(self, lane: Lane, faults: tuple[Planned, ...], began: float) -> None:
        """A fault that takes longer than planned moves the next one."""
        try:
            for each in faults:
                if each.lane == lane:
                    time.sleep(max(began + each.at - time.monotonic(), 0))
                    happened = self._faults.do(each)
                    took = (happened.until - happened.at).total_seconds()
                    why = f", left out: {happened.left_out}" if happened.left_out else ""
                    self._say(f"{time.monotonic() - began:6.1f} {happened.fault} {happened.target} {took:.1f} s{why}")
        except BaseException as error:  # noqa: BLE001 - the main thread raises it again
            self._errors.append(error)
