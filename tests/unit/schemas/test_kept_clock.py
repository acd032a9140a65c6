"""The clock of a process asks every leading broker, and logs which clocks it trusts."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from schemas import kept_clock
from schemas.cluster_clock import CONFIRM_SECONDS
from schemas.kept_clock import AGAIN_SECONDS, KeptClock
from schemas.settings import Connections

HOUR = 3600.0
OFFSET = 1_000_000.0


class Cluster:
    """A cluster that answers at once; `ahead` gives the clock error of each broker in seconds."""

    def __init__(self, leaders, ahead):
        self.leaders, self.ahead, self.boot, self.host = leaders, ahead, 100.0, 0.0
        self.asked, self.slow, self.moves, self.made = [], set(), {}, 0
        self.clock = KeptClock(Connections(), self._connect, lambda: self.boot, self.wall)

    def _connect(self, options):
        assert options["bootstrap.servers"]
        self.made += 1
        return self

    def wall(self):
        return self.boot + OFFSET + self.host

    def list_topics(self, topic, timeout):
        assert timeout > 0
        if not self.leaders:
            raise ConnectionError
        found = {number: SimpleNamespace(leader=leader) for number, leader in self.leaders.items()}
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions=found)})

    def produce(self, topic, *, key, value, partition, on_delivery):
        assert (topic, key, value) == ("tidemill.executors", b"clock", None)
        broker = self.leaders[partition]
        self.asked.append(broker)
        self.boot += 10.0 if broker in self.slow else 0.001
        stamp = int((self.boot + OFFSET + self.ahead[broker]) * 1000)
        on_delivery(None, SimpleNamespace(timestamp=lambda: (2, stamp)))

    def flush(self, timeout):
        assert timeout > 0
        self.leaders = {**self.leaders, **self.moves}
        return 0

    def turn(self, seconds=1.0):
        self.boot += seconds
        with capture_logs() as lines:
            self.clock.turn()
        return [each["event"] for each in lines]


def test_one_partition_of_each_leader_is_asked():
    cluster = Cluster({0: 1, 1: 1, 2: 2, 3: 3, 4: -1}, {1: 0.0, 2: 0.0, 3: 0.0})
    assert cluster.turn() == ["clock_steady"]
    assert sorted(cluster.asked) == [1, 2, 3]
    assert abs((cluster.clock.now().timestamp()) - cluster.wall()) < 0.1


@pytest.mark.parametrize("wrong", [1, 2, 3])
def test_a_wrong_broker_of_three_is_named_with_how_far_its_clock_is_ahead(wrong):
    cluster = Cluster({0: 1, 1: 2, 2: 3}, {1: 0.0, 2: 0.0, 3: 0.0} | {wrong: HOUR})
    with capture_logs() as lines:
        cluster.clock.turn()
    (line,) = lines
    assert (line["event"], line["log_level"], line["brokers"]) == ("broker_clock_wrong", "error", [wrong])
    assert line["seconds_ahead"][f"broker {wrong}"] == pytest.approx(HOUR, abs=0.1)


def test_a_slow_answer_is_ignored():
    cluster = Cluster({0: 1}, {1: 0.0})
    cluster.slow = {1}
    assert cluster.turn() == ["clock_unknown"]
    assert not cluster.clock.wait_until_known(0)


def test_an_answer_of_a_moved_partition_is_ignored():
    cluster = Cluster({0: 1}, {1: 0.0})
    cluster.moves = {0: 2}
    assert cluster.turn() == ["clock_unknown"]


def test_unavailable_brokers_are_asked_again():
    cluster = Cluster({}, {1: 0.0})
    assert cluster.turn() == ["clock_unanswered"]
    cluster.leaders = {0: 1}
    assert cluster.turn() == ["clock_steady"]
    assert cluster.clock.wait_until_known(0)


def test_a_stopped_clock_is_logged_once_a_minute_and_its_end_at_once():
    cluster = Cluster({0: 1}, {1: HOUR})
    said = [cluster.turn() for _ in range(int(AGAIN_SECONDS) + 1)]
    assert [each for each in said if each] == [["clock_unknown"]] * 2
    cluster.ahead[1] = 0.0
    assert cluster.turn() == ["clock_steady"]


def test_a_jump_is_logged_and_confirmed_and_its_correction_stops_the_clock():
    cluster = Cluster({0: 1}, {1: 0.0})
    cluster.turn()
    cluster.ahead[1] = cluster.host = HOUR
    said = [cluster.turn() for _ in range(int(CONFIRM_SECONDS) + 2)]
    assert [each for each in said if each] == [["clock_jumped"], ["clock_steady"]]
    before = cluster.clock.now()
    cluster.ahead[1] = cluster.host = 0.0
    said = [cluster.turn() for _ in range(int(CONFIRM_SECONDS) + 2)]
    assert [each for each in said if each] == [["clock_jumped"], ["clock_ahead"]]
    assert not cluster.clock.is_steady
    assert cluster.clock.now() >= before


def test_a_steady_clock_keeps_no_connection():
    cluster = Cluster({0: 1}, {1: 0.0})
    cluster.turn()
    cluster.turn()
    assert cluster.made == 2


def test_the_thread_of_a_steady_clock_turns_and_asks_nobody(monkeypatch):
    monkeypatch.setattr(kept_clock, "IDLE_SECONDS", 0.001)
    cluster, turned = Cluster({0: 1}, {1: 0.0}), threading.Semaphore(0)
    cluster.turn()
    cluster.asked.clear()
    cluster.clock.start(turned.release)
    assert all(turned.acquire(timeout=5) for _ in range(3))
    assert cluster.asked == []
    cluster.clock.stop()
