"""An attempt runner whose producer only records events in a list, and claims to give to it."""

from __future__ import annotations

from datetime import timedelta

from executors.cache import Cache
from executors.checkpoints import Checkpoints
from executors.claim import Chosen, ClaimDecision, Polled
from executors.clock import boot_seconds, cluster_clock
from executors.events import EventLog
from executors.executables import Executables
from executors.limiter import Limiter
from executors.logs import LogStore
from executors.policy import Policy
from executors.results import Results
from executors.runner import Runner
from executors.sandbox.cgroups import Cgroups
from executors.sandbox.confine import make_confiner
from executors.sandbox.launch import find_launcher
from executors.sandbox.limits import NO_LIMITS
from executors.secrets.allow_list import AllowList
from executors.secrets.directory import Directory
from executors.secrets.store import Secrets
from executors.slots import Slots
from executors.supervisor_link import SupervisorLink
from executors.workspace import Workspace
from schemas.codec import decode
from schemas.confinement import Capabilities, Sandbox
from schemas.dispatch import Dispatch
from schemas.event import EventBatch
from schemas.settings import Connections
from schemas.times import EPOCH
from streams.core.settings import CoreSettings
from tests.support.executor_figures import new_metrics

RULES = CoreSettings()
MARGIN = timedelta(seconds=5)
CACHE_BYTES = 1_000
SLOTS = 4
BASIC = Capabilities(sandboxes=(Sandbox.BASIC,), default=Sandbox.BASIC)
LAUNCHER = find_launcher()


class RecordingProducer:
    """Records what is sent; a test acknowledges each record explicitly."""

    def __init__(self):
        self.records = []
        self._acknowledged = 0

    def send(self, record):
        self.records.append(record)

    def acknowledge(self, sent):
        record = self.records[self._acknowledged]
        self._acknowledged += 1
        record.on_ack(sent)

    def acknowledge_all(self):
        while self._acknowledged < len(self.records):
            self.acknowledge(boot_seconds())

    def events(self):
        return [event for each in self.records for event in decode(each.value, EventBatch).events]


def make_runner(
    producer, store, folder, tasks, renewed=boot_seconds, registry=None, *, cgroups=None, strict=None, users=None
):
    """A runner with a real process supervisor; `store` stands for S3."""
    cache = Cache(folder / "cache", max_bytes=CACHE_BYTES, scratch_prefix="x.1")
    slots = Slots({"10s": SLOTS})
    slots.take("10s", SLOTS)
    metrics = new_metrics(registry)
    link = SupervisorLink(on_notice=lambda each: runner.on_notice(each), on_death=print, launcher=LAUNCHER)  # noqa: PLW0108 - it is made below
    runner = Runner(
        policy=Policy(margin=MARGIN, grace=MARGIN, path="/usr/bin:/bin", log_max_bytes=CACHE_BYTES),
        clock=cluster_clock(Connections()),
        slots=slots,
        events=EventLog(producer, lambda _, function: function(), topic="events", executor_id="x.1"),
        executables=Executables(store=store, cache=cache, metrics=metrics, fetch_timeout=timedelta(minutes=1)),
        logs=LogStore(store, "logs"),
        checkpoints=Checkpoints(store, "kept", keep_timeout=MARGIN, fetch_timeout=MARGIN),
        results=Results(store, "kept", keep_timeout=MARGIN, fetch_timeout=MARGIN),
        secrets=Secrets(
            Directory(folder / "secrets"), AllowList(None), max_age=timedelta(minutes=5), fetch_timeout=MARGIN
        ),
        workspace=Workspace(folder / "work", "x.1", cache_dir=folder / "cache", spare_dirs=SLOTS, users=users),
        confiner=make_confiner(BASIC, strict, spare_dirs=SLOTS),
        limiter=Limiter(cgroups=cgroups or Cgroups("x.1", folder), default=NO_LIMITS, sandbox=Sandbox.BASIC),
        link=link,
        metrics=metrics,
        tasks=tasks,
        renewed=renewed,
        on_ran=lambda *_: None,
        on_fail=lambda: None,
    )
    return runner


def claim(token=7, decision=ClaimDecision.RUN, **changes):
    plain = {
        "run_id": "job#r",
        "owner": "job",
        "job_id": "job",
        "attempt": 1,
        "token": token,
        "timeout_class": "10s",
        "nominal_time": EPOCH,
        "scheduled_time": EPOCH,
        "executable": "s3://tidemill/x",
        "sha256": "0" * 64,
        "args": (),
        "env": {},
        "payload": None,
        "limit": RULES.lease,
        "valid_for": RULES.dispatch_valid_for,
        "claim_grace": RULES.claim_grace,
        "lease": RULES.lease,
    }
    polled = Polled(
        partition=0,
        offset=0,
        appended_at=EPOCH,
        dispatch=Dispatch(**{**plain, **changes}),
        read=0.0,
        commit_sent=boot_seconds(),
    )
    return Chosen(polled=polled, decision=decision)
