"""What an import would write: a job for each entry of a file, or the reason why an entry becomes none."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from schemas.errors import TidemillError
from streams.core.schedule import zone as zones
from streams.core.schedule.occurrences import parse_schedule
from tidemill.put import Columns

HASH_LENGTH = 6
SLUG_LENGTH = 40
INTERPRETERS = frozenset({"sh", "bash", "env", "exec", "nice", "flock", "timeout", "python", "python3", "perl", "cd"})
"""Words at the start of a command that do not say what it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    source: str
    """Where the entry is, such as `line 7`."""
    job_id: str
    command: str
    """A command line for /bin/sh."""
    columns: Columns
    """All other columns that the entry decides."""
    notes: tuple[str, ...] = ()
    """What is different from where the entry comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    source: str
    entry: str
    why: str
    """A sentence without its full stop: what cannot be imported, and what to do instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    jobs: tuple[PlannedJob, ...]
    rejected: tuple[Rejected, ...]
    notes: tuple[str, ...] = ()
    """What holds for the whole file."""


def planned(entries: Iterable[PlannedJob | Rejected], notes: Iterable[str] = ()) -> Plan:
    """The plan of all entries. A job whose schedule or zone is invalid is rejected, and equal ids get numbers."""
    jobs: list[PlannedJob] = []
    rejected: list[Rejected] = []
    for entry in entries:
        match entry:
            case PlannedJob() if why := _invalid(entry.columns):
                rejected.append(Rejected(source=entry.source, entry=entry.command, why=why))
            case PlannedJob():
                jobs.append(entry)
            case Rejected():
                rejected.append(entry)
    return Plan(jobs=tuple(_numbered(jobs)), rejected=tuple(rejected), notes=tuple(dict.fromkeys(notes)))


def job_id_of(prefix: str, command: str) -> str:
    """A readable id that is the same at the next import: the program's name, and a hash of the command."""
    digest = hashlib.sha256(command.encode()).hexdigest()[:HASH_LENGTH]
    return f"{prefix}{_program(command)}-{digest}"


def _program(command: str) -> str:
    """The first word that names a program, such as `backup` of `nice /usr/local/bin/backup.sh --all`."""
    names = (re.split(r"[/\\]", word)[-1] for word in re.split(r"[\s;&|()'\"]+", command) if _may_name(word))
    name = next((each for each in names if each and each not in INTERPRETERS), "command")
    stem = re.sub(r"\.(sh|py|pl|rb|php|bash)$", "", name)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[:SLUG_LENGTH] or "command"


def _may_name(word: str) -> bool:
    return bool(word) and not word.startswith(("-", "$")) and "=" not in word


def _invalid(columns: Columns) -> str | None:
    try:
        zones.load(columns.get("timezone", "UTC"))
        parse_schedule(columns["schedule"])
    except TidemillError as error:
        return str(error)
    return None


def _numbered(jobs: Iterable[PlannedJob]) -> Iterable[PlannedJob]:
    """The second job with the same id gets -2, the third -3."""
    seen: Counter[str] = Counter()
    for job in jobs:
        seen[job.job_id] += 1
        number = seen[job.job_id]
        yield job if number == 1 else replace(job, job_id=f"{job.job_id}-{number}")
