"""The settings of the executor; every process also has the settings of `schemas.settings`."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from executors.sandbox.unveil import UnveilError, parse_list
from executors.stop_deadline import LAST_SECONDS
from schemas.classes import parse_classes
from schemas.cluster import Margins
from schemas.confinement import Sandbox
from schemas.errors import TidemillError

DEFAULT_SLOTS = 32
NOT_FOR_EXECUTORS = (
    "TIDEMILL_POSTGRES_DSN",
    "TIDEMILL_POSTGRES_READ_DSN",
    "TIDEMILL_CONNECT_URL",
    "TIDEMILL_CONNECT_POSTGRES_PASSWORD",
)
"""Variables that other processes need. An executor uses neither Postgres nor Connect, and starts what strangers write.
"""


class InvalidSlotsError(TidemillError):
    """TIDEMILL_SLOTS does not have the form 10s=32,1m=16."""


class ExecutorSettings(BaseSettings):
    """Read once, in `main()`, from the environment (prefix `TIDEMILL_`)."""

    model_config = SettingsConfigDict(env_prefix="TIDEMILL_", frozen=True, extra="ignore", validate_default=True)

    executor_name: str | None = None
    """None: made from the host name, unique on this machine."""
    slots: str = ""
    """`10s=32,1m=16`: the executor serves only these classes. Empty: all classes, 32 slots each."""
    heartbeat_interval: timedelta = timedelta(seconds=3)
    lease_margin: timedelta = timedelta(seconds=5)
    """A process ends so long before its lease expires, and a claim is void so long before its grace ends."""
    term_grace: timedelta = timedelta(seconds=5)
    """Between TERM and KILL."""
    drain_timeout: timedelta = timedelta(seconds=30)
    """After SIGTERM, wait so long for running attempts to finish."""
    fetch_timeout: timedelta = timedelta(seconds=60)
    """The time limit for fetching an executable, a checkpoint or results of others, with all retries; it does not count
    towards the class's limit."""
    checkpoint_timeout: timedelta = timedelta(seconds=10)
    """The time limit for storing the checkpoint of an attempt that did not succeed, or the result of one that did; the
    ENDED event waits for it."""
    work_dir: Path = Path(tempfile.gettempdir()) / f"tidemill-executors-{os.geteuid()}"
    """The parent of the attempts' directories. Executors of one user and machine may share it."""
    cache_dir: Path | None = None
    """None: `cache` below `work_dir`. It should be on the same file system as `work_dir`."""
    cache_max_bytes: int = 2 * 1024**3
    secrets_dir: Path | None = None
    """One file per secret, named as in `secret:NAME`. Of this, the region and the command, one may be set."""
    secrets_aws_region: str | None = None
    """Secrets are in AWS Secrets Manager in this region; `secret:ID` or `secret:ID#FIELD`."""
    secrets_aws_endpoint: str | None = None
    """None: the public one of the region."""
    secrets_command: str | None = None
    """A command that gets names and writes values, as JSON (docs/secrets.md). No shell runs it."""
    secrets_max_age: timedelta = timedelta(minutes=5)
    """A secret that was read so long ago is read again for the next attempt; a file also when it changes."""
    secrets_allow: Path | None = None
    """A TOML file with a list of globs for each tenant. None: every tenant may use every secret."""
    sandbox: Sandbox = Sandbox.BASIC
    """How attempts are isolated whose job does not say it; no job gets less (docs/security.md)."""
    unveil: str = ""
    """`r:/srv/www,rw:/srv/in,rx:/opt/tool`: what jobs may ask for in their column `unveil`, and all that lies below."""
    memory: int | None = Field(default=None, gt=0)
    """Bytes, for jobs without `memory`. None, for this and the next three: no limit. A job that ran yesterday is not
    stopped by an upgrade, and only whoever knows its jobs knows a number. An attempt with a limit of memory, cores or
    processes enters a control group of its own, which takes some milliseconds on an idle host."""
    disk: int | None = Field(default=None, gt=0)
    """Bytes in the directories of an attempt, for jobs without `disk`."""
    cpu: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    """Cores, for jobs without `cpu`."""
    pids: int | None = Field(default=None, gt=0)
    """Processes and threads at once, for jobs without `pids`."""
    process_path: str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    """PATH of the processes."""
    start_from_memory: bool = True
    """True: on x86-64, a small program in a memfd starts the processes (docs/decisions/0014). False: Python does, which
    takes 20 ms more; for hosts whose security tools refuse programs in memory."""
    log_max_bytes: int = 4 * 1024**2
    """The limit for one attempt's output: half for its head, half for its tail."""
    log_interval: timedelta = timedelta(seconds=2)
    """Upload the new output of a streamed log this often."""
    ready_file: Path | None = None
    """Written when the executor has its partitions; removed when the process starts and when it ends."""

    @field_validator("unveil")
    @classmethod
    def _names_rights_and_paths(cls, text: str) -> str:
        try:
            parse_list(text)
        except UnveilError as error:
            raise ValueError(str(error)) from error
        return text

    @field_validator("secrets_command")
    @classmethod
    def _is_the_only_provider(cls, line: str | None, info: ValidationInfo) -> str | None:
        others = [name for name in ("secrets_dir", "secrets_aws_region") if info.data.get(name)]
        used = [f"TIDEMILL_{name.upper()}" for name in others] + (["TIDEMILL_SECRETS_COMMAND"] if line else [])
        if len(used) > 1:
            raise ValueError(f"an executor has one provider of secrets, and {' and '.join(used)} are set")
        shlex.split(line or "")
        return line

    @property
    def stop_limit(self) -> timedelta:
        """So long after SIGTERM an executor has ended. docker-compose.yml and docs/cluster.md wait longer."""
        attempts = self.drain_timeout + self.term_grace + self.checkpoint_timeout
        return attempts + timedelta(seconds=LAST_SECONDS)

    @property
    def cache_place(self) -> Path:
        return self.cache_dir or self.work_dir / "cache"

    def margins(self, name: str) -> Margins:
        return Margins(name=name, lease_margin=self.lease_margin, heartbeat_interval=self.heartbeat_interval)


def parse_slots(text: str, timeout_classes: str) -> Mapping[str, int]:
    """Slots by class, the shortest class first. Raises `InvalidSlotsError`."""
    classes = [each.name for each in parse_classes(timeout_classes)]
    if not text.strip():
        return dict.fromkeys(classes, DEFAULT_SLOTS)
    slots = dict(_parse_one(part.strip(), classes) for part in text.split(","))
    return {name: slots[name] for name in classes if name in slots}


def _parse_one(part: str, classes: list[str]) -> tuple[str, int]:
    name, _, count = part.partition("=")
    if name not in classes:
        raise InvalidSlotsError(f"TIDEMILL_SLOTS names the class {name!r}; the classes are {', '.join(classes)}")
    if not count.isdecimal() or int(count) < 1:
        raise InvalidSlotsError(f"TIDEMILL_SLOTS gives {name} {count!r} slots; a whole number above 0 is allowed")
    return name, int(count)
