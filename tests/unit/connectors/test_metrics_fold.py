"""The figures of `status` equal a direct count of what happened, whatever is replayed, lost, restarted or compacted."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.metrics.fold import Fold, Options, Partition, fold
from connectors.metrics.snapshot import Snapshot, names_of, restore, snapshot_of
from observe.catalogue import status as catalogue
from tests.support.status_logs import CLASSES, GAUGES, Counted, StatusLog, compacted, counted

OPTIONS = Options(classes=CLASSES)
PARTITIONS = 2
ACTIONS = st.lists(st.integers(0, 2**16), min_size=10, max_size=150)


class Process:
    """The process of the metrics without Kafka: it reads, saves, is killed and starts again."""

    def __init__(self, logs: list[StatusLog], *, counts_from: int = 0) -> None:
        self.logs = [log.records for log in logs]
        self.state = new_fold(len(logs), counts_from)
        self.save()

    def save(self) -> None:
        self.saved, self.offsets = msgspec.msgpack.encode(snapshot_of(self.state, "id")), self.next_offsets()

    def next_offsets(self) -> list[int]:
        return [self.state.partitions[number].next_offset for number in range(len(self.logs))]

    def crash(self) -> None:
        names = names_of(self.state)  # written before the first figure of a name is shown
        self.state = Fold(OPTIONS, names)
        restore(self.state, msgspec.msgpack.decode(self.saved, type=Snapshot), "id")
        assert self.next_offsets() == self.offsets

    def read(self, number: int, count: int) -> None:
        unread = [each for each in self.logs[number] if each[0] >= self.state.partitions[number].next_offset]
        self._fold(number, unread[:count])

    def replay(self, number: int, count: int) -> None:
        """The broker sends records again that were read."""
        self._fold(number, [each for each in self.logs[number] if each[0] < self.next_offsets()[number]][-count:])

    def read_all(self) -> None:
        for number, log in enumerate(self.logs):
            self._fold(number, log)

    def _fold(self, number: int, records) -> None:
        for offset, key, value in records:
            fold(self.state, number, offset, key, value)


def new_fold(partitions: int, counts_from: int = 0) -> Fold:
    state = Fold(OPTIONS)
    state.partitions = {n: Partition(next_offset=0, counts_from=counts_from) for n in range(partitions)}
    return state


def written(actions: list[int], *, plain: bool = False) -> list[StatusLog]:
    logs = [StatusLog(name, plain=plain) for name in "ab"]
    for index, action in enumerate(actions):
        logs[index % PARTITIONS].act(action)
    for log in logs:
        log.commit()
    return logs


def figures(state: Fold) -> Counted:
    """Without what is 0."""
    series = {(name, labels): count for name, each in state.figures.counts.items() for labels, count in each.items()}
    found = {key: count for key, count in series.items() if count}
    times = {
        (name, labels): (each.counts, each.total_ms)
        for name, all_series in state.figures.times.items()
        for labels, each in all_series.items()
    }
    counters = {key: count for key, count in found.items() if key[0] not in GAUGES}
    return Counted(counters, {key: count for key, count in found.items() if key[0] in GAUGES}, times)


@settings(deadline=None, max_examples=300)
@given(actions=ACTIONS)
def test_the_figures_equal_a_direct_count(actions):
    logs = written(actions)
    process = Process(logs)
    process.read_all()
    assert figures(process.state) == counted(logs)


@settings(deadline=None, max_examples=300)
@given(actions=ACTIONS, moves=st.lists(st.integers(0, 2**16), max_size=60))
def test_replays_crashes_and_compaction_of_what_is_saved_change_no_figure(actions, moves):
    logs = written(actions)
    process = Process(logs)
    for move in moves:
        number, count = move // 5 % PARTITIONS, move // 10 % 12
        match move % 5:
            case 0 | 1:
                process.read(number, count)
            case 2:
                process.replay(number, count)
            case 3:
                process.save()
                process.logs[number] = compacted(process.logs[number], process.offsets[number] - count)
            case _:
                process.crash()
    process.read_all()
    assert figures(process.state) == counted(logs)


@settings(deadline=None, max_examples=300)
@given(actions=ACTIONS, read=st.integers(0, 60), below=st.integers(0, 300))
def test_compaction_of_what_was_not_read_hides_only_ended_lives_and_dispatches_that_expired_in_a_row(
    actions, read, below
):
    logs = written(actions, plain=True)
    process = Process(logs)
    for number in range(PARTITIONS):
        process.read(number, read)
        process.logs[number] = compacted(process.logs[number], below)
    process.read_all()
    assert figures(process.state) == counted(logs)


@settings(deadline=None, max_examples=200)
@given(actions=ACTIONS, more=ACTIONS)
def test_a_first_start_counts_only_what_is_newer_and_knows_every_open_run(actions, more):
    logs = [StatusLog("a")]
    for action in actions:
        logs[0].act(action)
    logs[0].commit()
    before = logs[0].counts.copy(), logs[0].times.copy()
    process = Process(logs, counts_from=logs[0].end)
    for action in more:
        logs[0].act(action)
    logs[0].commit()
    process.read_all()
    logs[0].counts = logs[0].counts - before[0]
    logs[0].times = logs[0].times - before[1]
    assert figures(process.state) == counted(logs)


@pytest.mark.parametrize("seed", range(5))
def test_a_long_history_has_every_figure_and_each_is_right(seed):
    drawn = random.Random(seed)
    logs = written([drawn.randrange(2**16) for _ in range(20_000)])
    process = Process(logs)
    for _ in range(300):
        number, count = drawn.randrange(PARTITIONS), drawn.randrange(80)
        drawn.choice([process.read, process.read, process.replay])(number, count)
        drawn.choice([process.save, process.crash, lambda: None])()
        process.logs[number] = compacted(process.logs[number], process.offsets[number])
    process.read_all()
    expected = counted(logs)
    assert figures(process.state) == expected
    named = {name for each in (expected.counters, expected.gauges, expected.times) for name, _ in each}
    assert named == {each.name for each in catalogue.FOLDED} - {catalogue.UNREADABLE.name}
