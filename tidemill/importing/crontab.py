"""Reads a crontab: each line becomes a job that does what cron does with the line.

The format is the one that crontab(5) of Debian's cron and of cronie describe.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import orjson

from tidemill.importing.hidden import hidden_paths
from tidemill.importing.plan import Plan, PlannedJob, Rejected, job_id_of, planned
from tidemill.put import Columns

CRON_FIELDS = 5
INPUT_END = "END_OF_CRON_INPUT"
DROPPED = frozenset({"MAILTO", "MAILFROM", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING"})
"""Variables about the mail that cron sends."""
OVERLAPS: Columns = {"overlap_policy": "allow_all", "catchup_policy": "skip"}
"""Cron starts a command although the last one still runs, and never starts what it has missed."""
NO_REBOOT = "no schedule follows the start of a machine: let the machine call `tidemill run` when it starts"
NO_COMMAND = "a schedule without a command: nothing would run"
MAIL = "cron mails the output; here `tidemill logs RUN` shows it, and nobody gets a mail"

_VARIABLE = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^\s="']+))\s*=\s*(.*?)\s*""")
_PERCENT = re.compile(r"(?<!\\)%")


@dataclass(slots=True)
class _Lines:
    """What the lines before have set, for those after."""

    timezone: str
    prefix: str
    with_user: bool
    env: dict[str, str] = field(default_factory=dict)
    shell: str = "/bin/sh"
    random_delay: str | None = None


def read_crontab(text: str, *, timezone: str, prefix: str = "", with_user: bool = False) -> Plan:
    """The plan of a crontab. `timezone` is the zone of the machine, which cron uses where nothing else is said.

    `with_user`: the sixth field is a user, as in /etc/crontab and /etc/cron.d.
    """
    lines = _Lines(timezone=timezone, prefix=prefix, with_user=with_user)
    entries = list(_entries(text, lines))
    return planned(entries, [MAIL] if entries else [])


def _entries(text: str, lines: _Lines) -> Iterator[PlannedJob | Rejected]:
    for number, line in enumerate(text.splitlines(), start=1):
        said = line.strip()
        if not said or said.startswith("#"):
            continue
        if found := _VARIABLE.fullmatch(line):
            _set(lines, found[1] or found[2] or found[3] or "", _unquoted(found[4]))
            continue
        yield _entry(f"line {number}", said, lines)


def _set(lines: _Lines, name: str, value: str) -> None:
    match name:
        case "CRON_TZ":
            lines.timezone = value
        case "SHELL":
            lines.shell = value
        case "RANDOM_DELAY":
            lines.random_delay = value
        case _ if name not in DROPPED:
            lines.env[name] = value


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value


def _entry(source: str, said: str, lines: _Lines) -> PlannedJob | Rejected:
    count = (1 if said.startswith("@") else CRON_FIELDS) + lines.with_user
    words = said.split(maxsplit=count)
    if words[0] == "@reboot":
        return Rejected(source=source, entry=said, why=NO_REBOOT)
    if len(words) <= count:
        needed = "five fields or a word such as @daily" + (", a user" if lines.with_user else "")
        return Rejected(source=source, entry=said, why=f"{NO_COMMAND}; a line has {needed} and a command")
    times, command = words[: count - lines.with_user], words[count]
    user = words[count - 1] if lines.with_user else None
    return PlannedJob(
        source=source,
        job_id=job_id_of(lines.prefix, command),
        command=shell_script(command, lines.shell),
        columns={"schedule": " ".join(times), "timezone": lines.timezone, **OVERLAPS, **_settings(lines)},
        notes=tuple(_notes(command, user, lines.env)),
    )


def _settings(lines: _Lines) -> Columns:
    found: Columns = {}
    if lines.env:
        found["env"] = orjson.dumps(lines.env).decode()
    if lines.random_delay:
        found["jitter"] = f"{lines.random_delay} minutes"
    return found


def _notes(command: str, user: str | None, env: Mapping[str, str]) -> Iterator[str]:
    if user:
        yield f"cron runs it as the user {user}; here it runs as the user that the sandbox gives it"
    if "HOME" in env:
        yield f"cron starts it in {env['HOME']}; here it starts in an empty directory of its own"
    if paths := hidden_paths(command):
        yield (
            f"the sandbox hides {', '.join(paths)}: set the column unveil, such as {{rw:{paths[0]}}}, "
            "and allow it with TIDEMILL_UNVEIL"
        )


def shell_script(command: str, shell: str = "/bin/sh") -> str:
    r"""The command line for /bin/sh: what follows the first % is its input, further ones end lines, and \% is a %."""
    first, *rest = _PERCENT.split(command)
    script = _plain(first).rstrip()
    if shell != "/bin/sh":
        script = f"{shlex.quote(shell)} -c {shlex.quote(script)}"
    if not rest:
        return script
    given = "\n".join(_plain(each) for each in rest)
    return f"{{ {script}\n}} <<'{INPUT_END}'\n{given}\n{INPUT_END}"


def _plain(text: str) -> str:
    return text.replace("\\%", "%")
