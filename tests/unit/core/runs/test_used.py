"""The status of a run says what the processes of each attempt used."""

from __future__ import annotations

from schemas.event import EndCause
from tests.support.simulated.log import Log, ended, started


def test_each_attempt_says_what_its_processes_used():
    log = Log()
    owner = log.dispatched()
    (first,) = log.dispatches()
    lost = ended(first, log.now, cause=EndCause.LEASE, peak_memory=9, cpu_seconds=0.5)
    owner.offer(log.report(started(first, log.now), lost))
    log.turn(owner, 0.1)
    second = log.dispatches()[-1]
    owner.offer(log.report(started(second, log.now), ended(second, log.now, peak_memory=7 << 20, cpu_seconds=1.25)))
    log.turn(owner, 0.1)
    used = [(each.peak_memory, each.cpu_seconds) for each in log.statuses()["job#r"].attempts]
    assert used == [(9, 0.5), (7 << 20, 1.25)]
