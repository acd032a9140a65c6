"""An executor: the real runner, claimers, windows, heartbeats and kills, driven by events instead of threads."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from executors.claim import Chosen
from executors.consumer import Claimer, ClaimerContext
from executors.control import Order
from executors.events import EventLog
from executors.heartbeats import HeartbeatSender
from executors.outbox import Record
from executors.policy import Policy
from executors.supervisor_link import Notice, Renewed
from executors.windows import MOST_AHEAD, Windows, no_windows
from observe.health import Health
from schemas.codec import decode
from schemas.confinement import NOTHING_GIVEN
from schemas.control import LOOK_BACK, Kill
from schemas.heartbeat import ExecutorState, Heartbeat
from schemas.ids import ExecutorId
from schemas.partition import partition_of
from schemas.topics import CONTROL, EVENTS, EXECUTORS
from tests.simulation.things import surroundings as s
from tests.simulation.things.brokers import Log
from tests.simulation.things.claims import ClaimConsumer
from tests.simulation.things.clock import CONNECTIONS, SimulatedClock
from tests.simulation.things.releases import as_written
from tests.simulation.things.supervisor import Link, Supervisor
from tests.simulation.things.world import Process

if TYPE_CHECKING:
    from tests.simulation.things.deployment import Deployment

FRESH_INTERVALS = 3
DRAIN_SECONDS = 60.0
AGAIN_SECONDS = 0.2
SLOW_SECONDS = 2.0
"""An acknowledgement that takes longer says nothing about the time."""
SILENT_SECONDS = 120.0


class NoWaiting:
    """The stop event of a claimer: events wait for it, not a thread."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, _: float) -> None: ...


class Outbox:
    """What `executors/outbox.py` does: each record arrives at least once, and is acknowledged."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.sends_twice_until = self.acknowledges_late_until = 0.0
        self.lateness = 0.0
        self.is_cut_off_after_late = False
        """The last that it hears is a late acknowledgement of a heartbeat."""

    def send(self, record: Record) -> None:
        executor = self._executor
        executor.after(executor.world.latency(), self._arrive, record, executor.world.boot())

    def _arrive(self, record: Record, sent: float) -> None:
        executor, brokers = self._executor, self._executor.deployment.brokers
        if executor.is_cut_off or brokers.are_down:
            executor.after(0.5, self._arrive, record, sent)
            return
        value = as_written(record.value, executor.release)
        stored = brokers.append(record.topic, record.partition, record.key, value)
        now = executor.world.now
        if self.sends_twice_until > now and executor.world.random.random() < 0.5:
            executor.world.coverage["fault", "a record arrives twice"] += 1
            brokers.append(record.topic, record.partition, record.key, value)
        late = self.lateness if self.acknowledges_late_until > now else 0.0
        if late:
            executor.after(late, self._acknowledge, record, sent, stored.at)
        else:
            self._acknowledge(record, sent, stored.at)

    def _acknowledge(self, record: Record, sent: float, at: Any) -> None:
        executor = self._executor
        if executor.is_cut_off:
            executor.after(0.5, self._acknowledge, record, sent, at)
            return
        boot = executor.world.boot()
        if boot - sent < SLOW_SECONDS:
            executor.clock.observe(sent=sent, acknowledged=boot, appended_ms=int(at.timestamp() * 1000))
        record.on_ack(sent)
        if self.is_cut_off_after_late and record.topic == EXECUTORS and boot - sent > SLOW_SECONDS:
            self.is_cut_off_after_late, self.acknowledges_late_until = False, 0.0
            executor.lose_brokers(SILENT_SECONDS)


class Executor(Process):
    def __init__(self, deployment: Deployment, name: str, life: int) -> None:
        super().__init__(deployment.world, name)
        self.deployment = deployment
        self.executor_id = ExecutorId(f"{name}.{life}")
        self.clock = SimulatedClock(self, deployment.brokers)
        self.release = deployment.releases.get(name, "")
        self.given = deployment.given.get(name, NOTHING_GIVEN)
        mine = {each.name: deployment.slots[each.name] for each in deployment.core.classes}
        self.slots, self.windows = s.FreeSlots(mine), Windows(mine)
        self.supervisor = Supervisor(self)
        self.outbox = Outbox(self)
        self.commit_fault: str | None = None
        """The next claim's commit: `lost`, or `unknown`: it counts, but the answer is lost."""
        self.misses_orders = 0
        """It never hears so many of the next orders: its reader of `control` connects anew, and goes on behind them."""
        self.freezes_at_claim = 0.0
        """It is frozen for so many seconds right after its next claim."""
        self.heartbeats = HeartbeatSender(
            outbox=self.outbox,
            topic=EXECUTORS,
            partition=partition_of(self.executor_id, deployment.partitions),
            compose=self._compose,
            on_renewed=self._on_renewed,
            horizon_seconds=FRESH_INTERVALS * deployment.heartbeat_seconds,
        )
        self.runner = self._make_runner()
        self.claimers = {name: self._make_claimer(name) for name in mine}
        self._held: dict[str, frozenset[int]] = {}
        self._state = ExecutorState.RUNNING
        self._waking: set[str] = set()
        self._has_started = False
        self._control: dict[int, int] = {}
        """By partition of `control`: the next offset to read."""

    def _make_runner(self) -> s.SimulatedRunner:
        deployment: Any = self.deployment
        policy = Policy(margin=deployment.margin, grace=timedelta(seconds=5), path="", log_max_bytes=1000)
        work: Any = SimpleNamespace(attempt_dirs=s.NoDirectories())
        link: Any = Link(self, self.supervisor)
        events = EventLog(self.outbox, self.after, topic=EVENTS, executor_id=self.executor_id)
        stub: Any = SimpleNamespace()
        return s.SimulatedRunner(
            policy=policy,
            clock=self.clock,
            slots=self.slots,
            events=events,
            executables=_any(s.Executables(self)),
            logs=stub,
            checkpoints=stub,
            results=stub,
            secrets=_any(s.NoSecrets()),
            workspace=work,
            confiner=stub,
            limiter=_any(s.NoLimiter()),
            link=link,
            metrics=_any(s.NoMetrics()),
            tasks=_any(s.Tasks(self)),
            renewed=lambda: self.heartbeats.renewed,
            on_ran=self.windows.note_end,
            on_fail=lambda: None,
        )

    def _make_claimer(self, name: str) -> Claimer:
        context = ClaimerContext(
            timeout_class=name,
            given=self.given,
            slots=self.slots,
            clock=self.clock,
            metrics=_any(s.NoMetrics()),
            health=Health(self.world.boot),
            may_claim=lambda: self.heartbeats.is_recent and self.clock.is_steady,
            is_ill=lambda: False,
            on_polled=lambda *_: None,
            on_claimed=lambda *claimed: self.after(0.0, self._on_claimed, *claimed),
            on_assigned=lambda *held: self.after(0.0, self._on_assigned, *held),
            on_unreadable=lambda *_: None,
            on_crash=lambda _: None,
            capacity=MOST_AHEAD * self.deployment.slots[name],
        )
        consumer: Any = ClaimConsumer(self, name)
        claimer = Claimer(CONNECTIONS, context, client_id=self.executor_id, consumer=lambda _: consumer)
        claimer._stopping = NoWaiting()  # type: ignore[assignment]
        return claimer

    # Life

    def start(self) -> None:
        self.world.note(self.name, f"starts as {self.executor_id}")
        self.clock.start_asking()
        self._beat()

    def die(self) -> None:
        """Kill -9: the supervisor notices the closed socket."""
        if self.is_alive:
            self.kill()
            self.supervisor.after(0.005, self.supervisor.kill_all)
            for group in self.deployment.executor_groups.values():
                group.suspect(self)
            self.deployment.restart_executor_later(self)

    def die_with_supervisor(self) -> None:
        self.supervisor.kill_all()
        self.die()

    def freeze_host(self, seconds: float) -> None:
        """The executor, its supervisor and its processes stand still, as in a paused VM."""
        for each in (self, self.supervisor, *self.supervisor.processes.values()):
            each.freeze(seconds)

    def lose_brokers(self, seconds: float) -> None:
        self.cut_off(seconds)
        for group in self.deployment.executor_groups.values():
            group.suspect(self)

    def stand_still_if_armed(self) -> None:
        seconds, self.freezes_at_claim = self.freezes_at_claim, 0.0
        if seconds:
            self.freeze(seconds)
            for group in self.deployment.executor_groups.values():
                group.suspect(self)

    def drain(self) -> None:
        """A planned stop."""
        self.world.note(self.name, "drains")
        self._state = ExecutorState.DRAINING
        self.heartbeats.send()
        for claimer in self.claimers.values():
            claimer.stop()
            claimer._consumer.close()
        self._held.clear()
        self.after(0.5, self._drain, self.world.now + DRAIN_SECONDS)

    def _drain(self, until: float) -> None:
        if not self.runner.is_idle and self.world.now < until + DRAIN_SECONDS:
            if until <= self.world.now < until + 1:
                self.runner.stop(5.0)
            self.after(1.0, self._drain, until)
            return
        self._state = ExecutorState.GONE
        self.heartbeats.send()
        self.after(2.0, self.die)

    def _beat(self) -> None:
        self.heartbeats.send()
        pause = self.deployment.heartbeat_seconds if self.clock.is_steady else 0.5
        self.after(pause, self._beat)

    def _start_claiming(self) -> None:
        """Claim only after all recent kill orders are read (protocol L6)."""
        self._has_started = True
        since = self.clock.now() - LOOK_BACK
        for partition in range(self.deployment.partitions):
            log = self.deployment.brokers.log(CONTROL, partition)
            old = [each for each in log.records if each.at < since]
            self._control[partition] = old[-1].offset + 1 if old else log.first
            self._read_control(log)
        for name in self.claimers:
            self.wake_claimer(name)

    # Callbacks, as in executors/service.py

    def _compose(self) -> Heartbeat:
        in_hand = self.runner.in_hand_by_partition
        accepts = self._state is ExecutorState.RUNNING
        return Heartbeat(
            executor_id=self.executor_id,
            name=self.name,
            host="h",
            version="1",
            state=self._state,
            at=self.clock.now(),
            interval=timedelta(seconds=self.deployment.heartbeat_seconds),
            margin=self.deployment.margin,
            capabilities=self.given,
            slots=self.slots.report(),
            windows=self.windows.advertise(self._held, in_hand) if accepts else no_windows(self._held),
            attempts=self.runner.in_hand(),
        )

    def _on_renewed(self, sent: float) -> None:
        self.runner.renew()
        self.runner.link.renew(sent)
        if self.clock.is_steady and not self._has_started:
            self._start_claiming()
        for name in self.claimers:
            if len(self.claimers[name]._records):
                self.wake_claimer(name)

    def on_notice(self, notice: Notice) -> None:
        if not isinstance(notice, Renewed):
            self.runner.on_notice(notice)
            for name in self.claimers:
                self.wake_claimer(name)

    def _on_assigned(self, timeout_class: str, held: frozenset[int]) -> None:
        if self._state is ExecutorState.RUNNING:
            self._held[timeout_class] = held
            self.heartbeats.send()
            self.wake_claimer(timeout_class)

    def _on_claimed(self, timeout_class: str, claimed: list[Chosen]) -> None:
        self.runner.on_claimed(timeout_class, claimed)
        in_hand, held = self.runner.in_hand_by_partition(timeout_class), self._held.get(timeout_class, ())
        if self.windows.note(timeout_class, in_hand, held):
            self.heartbeats.send()

    # Claiming and orders

    def wake_claimer(self, name: str) -> None:
        if self._has_started and self._state is ExecutorState.RUNNING and name not in self._waking:
            self._waking.add(name)
            self.after(0.002, self._turn_claimer, name)

    def _turn_claimer(self, name: str) -> None:
        self._waking.discard(name)
        claimer = self.claimers[name]
        if claimer._stopping.is_set():
            return
        before = len(claimer._records)
        claimer.turn()
        left = len(claimer._records)
        may_claim = self.heartbeats.is_recent and self.clock.is_steady
        if self.is_cut_off or self.deployment.brokers.are_down:
            self._wake_later(name, 1.0)
        elif left and may_claim and self.slots.free(name):
            self._wake_later(name, AGAIN_SECONDS)
        elif left != before:
            self.wake_claimer(name)

    def _wake_later(self, name: str, seconds: float) -> None:
        self._waking.add(name)
        self.after(seconds, self._turn_claimer, name)

    def notice(self, log: Log) -> None:
        """Something was appended to a runs topic or to `control`."""
        if log.topic == CONTROL:
            if self._has_started:
                self.after(self.world.latency(), self._read_control, log)
        elif (name := log.topic.removeprefix("runs.")) in self.claimers:
            self.wake_claimer(name)

    def _read_control(self, log: Log) -> None:
        if self.is_cut_off or self.deployment.brokers.are_down:
            self.after(1.0, self._read_control, log)
            return
        end = log.stable_end()
        found = log.read(self._control[log.partition], end)
        self._control[log.partition] = max(end, self._control[log.partition])
        if found and self.misses_orders:
            self.misses_orders -= 1
            self.world.note(self.name, f"misses {len(found)} orders")
            return
        orders = [Order(kill=decode(each.value, Kill), appended_at=each.at) for each in found if each.value]
        if orders:
            self.runner.on_orders(orders)


def _any(value: object) -> Any:
    return value
