"""Whether each request was carried out once, and nothing that was refused or not asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.chaos.judge.executions import Seen, owner_of
from tests.chaos.judge.history import Asked
from tests.chaos.judge.outcomes import Known, Wanted, busy, check_end, check_start, known, lost, nodes_of
from tests.chaos.judge.processes import FINAL
from tests.chaos.judge.violations import Kind, Tally, Violation, evidence
from tests.chaos.judge.windows import Interval, Windows


def requests(seen: Seen, faults: Sequence[Interval], tally: Tally) -> Iterator[Violation]:
    nodes, asked = nodes_of(seen), _runs_asked(seen)
    for run_id, acts in asked.items():
        it = known(seen, run_id, nodes)
        waits = Windows([*faults, *busy(seen, owner_of(run_id), nodes)])
        if all(each.outcome == "refused" for each in acts):
            tally.refused += 1
            yield from _refused(it, acts[0])
            continue
        mine = [each for each in acts if each.outcome != "refused"]
        yield from _run(seen, mine, it, waits, Windows(faults), tally)
    yield from _not_asked(seen, asked)


def _runs_asked(seen: Seen) -> dict[str, list[Asked]]:
    found: dict[str, list[Asked]] = {}
    for acts in seen.asked.values():
        for each in acts:
            if each.kind == "run":
                found.setdefault(each.new_run_id, []).append(each)
    return found


def _refused(it: Known, act: Asked) -> Iterator[Violation]:
    if it.run is not None or it.executions:
        lines = [line for each in it.executions for line in each.lines]
        yield Violation(
            kind=Kind.GHOST,
            run_id=it.run_id,
            sentence=f"the request for {it.run_id} was refused, and it ran or has a row",
            evidence=evidence(act, it.run, *lines),
        )


def _run(
    seen: Seen, acts: list[Asked], it: Known, waits: Windows, faults: Windows, tally: Tally
) -> Iterator[Violation]:
    history, act = seen.history, acts[0]
    bounds = history.bounds
    at = max(act.sent, act.run_at or act.sent)
    specs = [spec for when in (act.sent, acts[-1].answered) for spec in seen.specs_at(act.owner, when)]
    wanted = Wanted(
        what=f"the request {act.request_id} for {act.owner}",
        at=at,
        deadline=waits.deadline(max(at, acts[-1].answered), bounds.tolerance),
        specs=tuple(specs),
    )
    accepted = any(each.outcome == "accepted" for each in acts)
    tally.requests += accepted
    if it.run is not None:
        yield from check_start(seen, wanted, it)
        yield from check_end(seen, wanted, it, faults, tally)
        return
    problem = seen.problems.get((act.owner, act.request_id))
    if problem is not None and None in specs:
        tally.reasons["request_refused"] += 1
    elif problem is not None:
        yield lost(wanted, it, f"it was refused, and that does not hold: {problem.reason}")
    elif accepted:
        yield lost(wanted, it, "it was accepted, and has neither a run nor a problem")


def _not_asked(seen: Seen, asked: dict[str, list[Asked]]) -> Iterator[Violation]:
    for run_id in sorted({**seen.runs, **seen.executions}):
        whole = run_id.partition("/")[0]
        if whole in asked or ("#" not in whole and owner_of(whole) in seen.definitions):
            continue
        lines = [line for each in seen.executions.get(run_id, ()) for line in each.lines]
        yield Violation(
            kind=Kind.GHOST,
            run_id=run_id,
            sentence=f"{run_id} exists, and nobody asked for it",
            evidence=evidence(seen.runs.get(run_id), *lines),
        )


def stops(seen: Seen, faults: Sequence[Interval], tally: Tally) -> Iterator[Violation]:
    """Requests to stop and to run again have an effect, or a problem says why not."""
    calm = Windows(faults)
    for act in (each for acts in seen.asked.values() for each in acts if each.outcome == "accepted"):
        is_refused = (act.owner, act.request_id) in seen.problems
        if act.kind in ("cancel", "terminate"):
            tally.stops += 1
            if not is_refused:
                yield from _not_stopped(seen, act, calm)
        elif act.kind == "rerun":
            tally.reruns += 1
            if not is_refused and not _was_run_again(seen, act):
                sentence = f"the rerun {act.request_id} of {act.run_id} was accepted, and had no effect"
                row = seen.runs.get(act.run_id or "")
                yield Violation(kind=Kind.LOST, run_id=act.run_id or "", sentence=sentence, evidence=evidence(act, row))


def _not_stopped(seen: Seen, act: Asked, calm: Windows) -> Iterator[Violation]:
    deadline = calm.deadline(act.answered, seen.history.bounds.tolerance)
    for run_id, executions in seen.executions.items():
        whole = run_id.partition("/")[0]
        if owner_of(run_id) != act.owner or act.run_id not in (None, run_id, whole):
            continue
        if any(_reran(each, whole, act) for each in seen.asked.get(act.owner, [])):
            continue
        was_open = executions[0].start < act.sent
        for execution in executions:
            if was_open and execution.last > deadline and not _ended_before(seen, run_id, act):
                yield Violation(
                    kind=Kind.LOST,
                    run_id=run_id,
                    sentence=f"{execution.name} was alive at {execution.last:%H:%M:%S}, and had to stop by "
                    f"{deadline:%H:%M:%S}",
                    evidence=evidence(act, *execution.lines),
                )


def _reran(each: Asked, run_id: str, act: Asked) -> bool:
    return each.kind == "rerun" and each.run_id == run_id and each.answered >= act.sent and each.outcome != "refused"


def _ended_before(seen: Seen, run_id: str, act: Asked) -> bool:
    """The run had ended when the request came, so there was nothing to stop."""
    final = [each.at for each in seen.transitions.get(run_id, []) if each.state in FINAL]
    return bool(final) and min(final) < act.sent


def _was_run_again(seen: Seen, act: Asked) -> bool:
    run = seen.runs.get(act.run_id or "")
    if run is None or run.rerun_id is None:
        retried = seen.transitions.get(act.run_id or "", [])
        return any(each.reason_code == "retried_by_request" for each in retried)
    # Of several reruns, the row names the last one.
    others = {each.request_id for each in seen.asked[act.owner] if each.kind == "rerun" and each.run_id == act.run_id}
    return run.rerun_id in others
