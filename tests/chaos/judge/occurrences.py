"""Matches the targets of each schedule one to one with completed runs, as Jepsen's checker for Chronos does. Stricter.

There, a target needs some completed run that started in its window, and runs that are left over are no error. Here the
run must also have been told that target's time, no run may be left over, and a target without a run needs a reason that
holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from tests.chaos.judge.executions import Seen
from tests.chaos.judge.history import Run
from tests.chaos.judge.matching import maximum
from tests.chaos.judge.outcomes import Known, Wanted, busy, check_end, check_start, known, lost, nodes_of
from tests.chaos.judge.reasons import holds
from tests.chaos.judge.targets import Target, targets
from tests.chaos.judge.violations import Kind, Tally, Violation, evidence
from tests.chaos.judge.windows import Interval, Windows


def occurrences(seen: Seen, faults: Sequence[Interval], tally: Tally) -> Iterator[Violation]:
    history, nodes = seen.history, nodes_of(seen)
    for owner, definitions in seen.definitions.items():
        due = targets(definitions, history.until, history.bounds.clocks, seen.applied)
        waits = Windows([*faults, *busy(seen, owner, nodes)])
        wanted = [_wanted(seen, each, waits) for each in due]
        tally.targets += len(due)
        tally.required += sum(each.required for each in due)
        candidates = [known(seen, run_id, nodes) for run_id in _run_ids(seen, owner)]
        ranges = [each for each in history.runs if each.job_id == owner and each.missed_from is not None]
        yield from _matched(seen, list(zip(due, wanted, strict=True)), candidates, ranges, Windows(faults), tally)
        yield from _counted(due, ranges)


def _run_ids(seen: Seen, owner: str) -> list[str]:
    """All runs of occurrences, by the rows and by the processes."""
    of_rows = {
        each.run_id for each in seen.runs.values() if each.run_id.startswith(f"{owner}@") and each.missed_from is None
    }
    of_processes = {run_id for run_id in seen.executions if run_id.startswith(f"{owner}@")}
    return sorted(each for each in of_rows | {run_id.partition("/")[0] for run_id in of_processes} if "/" not in each)


def _matched(
    seen: Seen,
    due: Sequence[tuple[Target, Wanted]],
    candidates: Sequence[Known],
    ranges: Sequence[Run],
    faults: Windows,
    tally: Tally,
) -> Iterator[Violation]:
    by_time: dict[datetime, list[int]] = {}
    for index, candidate in enumerate(candidates):
        by_time.setdefault(_nominal(candidate), []).append(index)
    slack = seen.history.bounds.cluster_clock
    edges = [
        [index for index in by_time.get(each.at, ()) if _fits(candidates[index], each, slack_from=each.at - slack)]
        for _, each in due
    ]
    left, times = set(range(len(candidates))), {each.at for each, _ in due}
    for (target, wanted), match in zip(due, maximum(edges), strict=True):
        mine = [index for index in by_time.get(target.at, ()) if index in left]
        chosen = match if match is not None else next(iter(mine), None)
        covering = [row for row in ranges if row.missed_from <= target.at <= (row.missed_to or target.at)]  # type: ignore[operator]
        left.discard(chosen if chosen is not None else -1)
        tally.matched += match is not None
        it = candidates[chosen] if chosen is not None else None
        yield from _decided(seen, target, wanted, it, covering, faults, tally)
    for index in sorted(left):
        yield _left_over(candidates[index], is_due=_nominal(candidates[index]) in times)


def _wanted(seen: Seen, target: Target, waits: Windows) -> Wanted:
    return Wanted(
        what=f"the occurrence of {target.owner} at {target.at:%H:%M:%S}",
        at=target.at,
        deadline=waits.deadline(target.at, seen.history.bounds.tolerance),
        specs=target.specs,
    )


def _nominal(it: Known) -> datetime:
    """What its processes were told; without a process, what its row says."""
    if it.executions:
        return it.executions[0].nominal
    assert it.run is not None
    return it.run.nominal_time


def _fits(it: Known, wanted: Wanted, slack_from: datetime) -> bool:
    return it.is_completed and it.start is not None and slack_from <= it.start <= wanted.deadline


def _decided(
    seen: Seen, target: Target, wanted: Wanted, it: Known | None, ranges: list[Run], faults: Windows, tally: Tally
) -> Iterator[Violation]:
    if it is not None and ranges:
        yield _double(wanted, it, ranges)
    elif it is not None and it.executions and not target.may_run:
        sentence = f"{it.run_id} ran, and {target.owner} was paused"
        yield Violation(
            kind=Kind.GHOST, run_id=it.run_id, sentence=sentence, evidence=evidence(it.run, it.executions[0].lines[0])
        )
    elif it is not None:
        yield from check_start(seen, wanted, it)
        if it.run is not None:
            yield from check_end(seen, wanted, it, faults, tally)
        elif target.required:
            yield lost(wanted, it, "its processes ran, and the read model has no row")
    elif ranges:
        yield from _missed(seen, target, wanted, ranges, faults, tally)
    elif target.required:
        nothing = Known(run_id=f"{target.owner}@{target.at:%Y-%m-%dT%H:%M:%SZ}", run=None, executions=())
        yield lost(wanted, nothing, "it has neither a run nor a reason")


def _missed(
    seen: Seen, target: Target, wanted: Wanted, ranges: list[Run], faults: Windows, tally: Tally
) -> Iterator[Violation]:
    row = ranges[0]
    it = Known(run_id=row.run_id, run=row, executions=())
    if len(ranges) > 1:
        yield _double(wanted, it, ranges)
    elif holds(seen, row, target.at, target.specs, faults):
        tally.reasons[row.reason_code or ""] += 1
    else:
        yield lost(wanted, it, f"it is {row.state}, and its reason does not hold: {row.reason_code}, {row.reason}")


def _double(wanted: Wanted, it: Known, ranges: list[Run]) -> Violation:
    sentence = f"{wanted.what} has been decided more than once"
    return Violation(kind=Kind.DOUBLE, run_id=it.run_id, sentence=sentence, evidence=evidence(it.run, *ranges))


def _left_over(it: Known, *, is_due: bool) -> Violation:
    lines = [line for each in it.executions for line in each.lines]
    why = "another run has its time" if is_due else "no definition has that time"
    return Violation(
        kind=Kind.DOUBLE if is_due else Kind.GHOST,
        run_id=it.run_id,
        sentence=f"{it.run_id} exists, and {why}",
        evidence=evidence(it.run, *lines),
    )


def _counted(due: Sequence[Target], ranges: Sequence[Run]) -> Iterator[Violation]:
    """A range stands for as many occurrences as were due in its time."""
    for row in ranges:
        assert row.missed_from is not None
        inside = [each for each in due if row.missed_from <= each.at <= (row.missed_to or row.missed_from)]
        low, high = sum(each.required for each in inside), len(inside)
        count = row.missed_count or 1
        if not low <= count <= high:
            yield Violation(
                kind=Kind.GHOST if count > high else Kind.LOST,
                run_id=row.run_id,
                sentence=f"{row.run_id} stands for {count} occurrences, and {low} to {high} were due in its time",
                evidence=evidence(row),
            )
