"""Small jobs beside the load, and what they measure: how long nothing is dispatched, and when lost runs are back."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from itertools import count, pairwise

from schemas.ids import RunId
from schemas.partition import partition_of
from tests.chaos.log import Happened
from tests.chaos.site import Site
from tests.support.waiting import eventually

CLOCK, LASTING = "clock-", "lasting-"
AFTER = timedelta(seconds=20)
"""So long after a fault it is looked at what it caused."""
LOST_AFTER = timedelta(seconds=40)
STARTED_SECONDS = 60
FORGETFUL = "[ $TIDEMILL_ATTEMPT = 1 ] && exec sleep 120\ntrue"
"""The first attempt lasts; the second one ends at once."""
DISPATCHED = """
select r.job_id, a.dispatched_at as at from attempts a join runs r using (run_id)
where starts_with(r.job_id, %s) and a.dispatched_at between %s and %s order by a.dispatched_at
"""
AGAIN = """
select run_id, min(started_at) filter (where attempt > 1) as again from attempts
where run_id = any (%s) group by run_id
"""
LOST = "select count(*) as count from attempts where ended_as = 'lost' and finished_at between %s and %s"
HELD = "select run_id, executor_id from runs where run_id = any (%s) and state = 'running'"
UNSTARTED = "select count(*) as count from runs where run_id = any (%s) and state = 'running'"


class Measures:
    """One job for each partition, due each second, and runs that last, for an executor to lose."""

    def __init__(self, site: Site) -> None:
        self._client = site.client
        self._clocks = _one_in_each(CLOCK, site.client.connections.partitions)
        self._lasting = _one_in_each(LASTING, site.client.connections.partitions)
        self._numbers = count()

    def begin(self) -> None:
        """The jobs are paused until `tick`."""
        clock = self._client.put_script("chaos/clock", "true")
        for each in self._clocks:
            self._client.put_job(each, clock, schedule="* * * * * *", overlap_policy="allow_all", paused=True)
        lasting = self._client.put_script("chaos/lasting", FORGETFUL)
        for each in self._lasting:
            self._client.put_job(each, lasting, timeout="10 min", timeout_class="1h")

    def tick(self) -> None:
        for each in self._clocks:
            self._client.edit_job(each, paused=False)
        self.await_ticks()

    def stop_ticks(self) -> None:
        """Two cores have enough to do in a storm."""
        for each in self._clocks:
            self._client.edit_job(each, paused=True)

    def await_ticks(self) -> None:
        """Each partition dispatches."""
        since = self._client.now()
        far = since + timedelta(hours=1)

        def ticking() -> bool:
            return {each["job_id"] for each in self._client.rows(DISPATCHED, [CLOCK, since, far])} == set(self._clocks)

        eventually(ticking, STARTED_SECONDS, "a dispatch in each partition")

    def lasting_runs(self) -> list[RunId]:
        """Starts runs that last."""
        turn = next(self._numbers)
        runs = [self._client.request(each, f"{each}-{turn}") for each in self._lasting]
        eventually(
            lambda: self._client.rows(UNSTARTED, [runs])[0]["count"] == len(runs), STARTED_SECONDS, "the lasting runs"
        )
        return runs

    def held(self, runs: list[RunId]) -> tuple[str, list[RunId]]:
        """The executor that has most of these runs, and its runs."""
        found: dict[str, list[RunId]] = defaultdict(list)
        for each in self._client.rows(HELD, [runs]):
            found[each["executor_id"].rpartition(".")[0]].append(each["run_id"])
        return max(sorted(found.items()), key=lambda item: len(item[1]))

    def stop(self, runs: list[RunId]) -> None:
        for each in runs:
            request = f"stop-{each.rpartition('#')[2]}"
            self._client.insert("requests", request_id=request, kind="terminate", run_id=each)

    def back_after(self, runs: list[RunId], since: datetime) -> float | None:
        """Seconds until the last of the lost runs ran again; None: some did not yet."""
        found = [each["again"] for each in self._client.rows(AGAIN, [runs])]
        return max((each - since).total_seconds() for each in found) if found and None not in found else None

    def next_dispatch(self, fault: Happened) -> float:
        """Seconds from the fault to the next dispatch, in the partition in which that took longest."""
        first: dict[str, datetime] = {}
        for each in self._client.rows(DISPATCHED, [CLOCK, fault.at, fault.at + AFTER]):
            first.setdefault(each["job_id"], each["at"])
        waits = [(first.get(job, fault.at + AFTER) - fault.at).total_seconds() for job in self._clocks]
        return max(waits)

    def longest_gap(self, fault: Happened) -> float:
        """Seconds between two dispatches of a partition after the fault, where they are longest."""
        begin, end = fault.at, fault.at + AFTER
        ticks: dict[str, list[datetime]] = {job: [begin] for job in self._clocks}
        for each in self._client.rows(DISPATCHED, [CLOCK, begin, end]):
            ticks[each["job_id"]].append(each["at"])
        gaps = (later - before for times in ticks.values() for before, later in pairwise([*times, end]))
        return max(gaps).total_seconds()

    def called_lost(self, fault: Happened) -> int:
        """Attempts that ended as lost within the time in which the fault could have caused it."""
        return int(self._client.rows(LOST, [fault.at, fault.at + LOST_AFTER])[0]["count"])


def _one_in_each(prefix: str, partitions: int) -> list[str]:
    found: dict[int, str] = {}
    for number in count():
        if len(found) == partitions:
            break
        found.setdefault(partition_of(f"{prefix}{number}", partitions), f"{prefix}{number}")
    return list(found.values())
