"""The ready queue gives the first run that the executor can run, as a search through all of them would."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from schemas.confinement import Capabilities, Confinement, Limit, unmet
from schemas.ids import RunId
from schemas.times import EPOCH
from streams.core.runs.ready import ReadyQueue
from streams.core.runs.run import DispatchOrder, Lane

ASKED = (Confinement(), Confinement(memory=1), Confinement(cpu=1), Confinement(memory=1, cpu=1))
GIVEN = (Capabilities(), Capabilities(limits=(Limit.MEMORY,)), Capabilities(limits=(Limit.MEMORY, Limit.CPU)))
PUT = st.tuples(
    st.just("put"),
    st.integers(0, 12),
    st.tuples(st.sampled_from(Lane), st.booleans(), st.integers(0, 3)),
    st.sampled_from(ASKED),
    st.booleans(),
)
DROP = st.tuples(st.just("drop"), st.integers(0, 12))
JUDGE = st.tuples(st.just("judge"), st.sampled_from(GIVEN))
SAY = st.tuples(st.just("say"))


class Model:
    """The runs, without any order."""

    def __init__(self) -> None:
        self.runs: dict[RunId, tuple[DispatchOrder, Confinement]] = {}
        self.unsaid: set[RunId] = set()
        self.given = Capabilities()

    def head(self) -> tuple[Lane, RunId] | None:
        fitting = [(order, run_id) for run_id, (order, asked) in self.runs.items() if not unmet(asked, self.given)]
        return (min(fitting)[0][0], min(fitting)[1]) if fitting else None

    def wrong(self) -> dict[RunId, str | None]:
        why = {run_id: unmet(asked, self.given) for run_id, (_, asked) in self.runs.items()}
        return {run_id: each for run_id, each in why.items() if bool(each) == (run_id in self.unsaid)}

    def correct(self, run_id: RunId) -> None:
        self.unsaid ^= {run_id}

    def unmet(self) -> int:
        return sum(unmet(asked, self.given) is not None for _, asked in self.runs.values())

    def oldest(self) -> datetime | None:
        return min((order[2] for order, asked in self.runs.values() if not unmet(asked, self.given)), default=None)


def correct_one(queue: ReadyQueue, model: Model) -> None:
    found, wrong = queue.take_wrong(), model.wrong()
    assert (found is None) == (not wrong)
    if found:
        assert wrong[found[0]] == found[1]
        model.correct(found[0])


def happen(queue: ReadyQueue, model: Model, what: str, *values: object) -> None:
    match what, *values:
        case "put", number, (lane, is_rerun, at), asked, is_said:
            run_id, order = RunId(f"job#{number}"), (lane, is_rerun, EPOCH + at * timedelta(seconds=1))
            queue.put(run_id, order, asked, is_said=is_said)
            model.runs[run_id] = order, asked
            (model.unsaid.discard if is_said else model.unsaid.add)(run_id)
        case "drop", number:
            queue.drop(RunId(f"job#{number}"))
            model.runs.pop(RunId(f"job#{number}"), None)
            model.unsaid.discard(RunId(f"job#{number}"))
        case "judge", given_:
            queue.judge(given_)
            model.given = given_
        case "say":
            correct_one(queue, model)


@given(st.lists(st.one_of(PUT, DROP, JUDGE, SAY), max_size=60))
def test_the_queue_equals_a_search_through_all_runs(history) -> None:
    queue, model = ReadyQueue(), Model()
    for what, *values in history:
        happen(queue, model, what, *values)
        assert queue.head() == model.head()
        assert queue.places() == {run_id: order for run_id, (order, _) in model.runs.items()}
        assert (len(queue), queue.unmet, queue.oldest) == (len(model.runs), model.unmet(), model.oldest())
    while model.wrong():
        correct_one(queue, model)
    assert (queue.take_wrong(), queue.has_wrong) == (None, False)


def test_a_queue_that_is_empty_again_holds_nothing() -> None:
    queue = ReadyQueue()
    for number in range(100):
        path = f"r:/srv/{number}"
        queue.put(RunId(f"job#{number}"), (Lane.LIVE, False, EPOCH), Confinement(unveil=(path,)))
    for number in range(100):
        queue.drop(RunId(f"job#{number}"))
    assert (len(queue), queue.agendas, queue.head(), queue.take_wrong()) == (0, [], None, None)
