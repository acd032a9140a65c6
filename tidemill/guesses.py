"""Error sentences for an invalid command line, with a guess at what the user meant."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import typer
from typer._click.core import Context

from schemas.job import JobSpec
from tidemill.examples import EXAMPLES

COMMAND_SYNONYMS = {
    "help": "--help",
    "version": "--version",
    "jobs": "job list",
    "dags": "dag list",
    "ls": "list",
    "rm": "delete",
    "remove": "delete",
    "del": "delete",
    "add": "put",
    "create": "put",
    "new": "put",
    "edit": "put",
    "update": "put",
    "set": "put",
    "apply": "put",
    "get": "show",
    "describe": "show",
    "info": "show",
    "inspect": "show",
    "disable": "pause",
    "suspend": "pause",
    "enable": "resume",
    "unpause": "resume",
    "ps": "runs",
    "history": "runs",
    "top": "status",
    "executors": "status",
    "executor": "status",
    "workers": "status",
    "worker": "status",
    "members": "status",
    "settings": "cluster show",
    "config": "cluster show",
    "health": "doctor",
    "check": "doctor",
    "log": "logs",
    "output": "logs",
    "tail": "logs",
    "retry": "rerun",
    "again": "rerun",
    "stop": "cancel",
    "abort": "cancel",
    "kill": "terminate",
    "trigger": "run",
    "start": "run",
    "exec": "run",
    "submit": "run",
    "why": "explain",
    "errors": "problems",
    "deadletters": "problems",
    "psql": "sql",
    "db": "sql",
    "upgrade": "migrate",
    "init": "migrate",
}
"""Names of commands in other tools, and our names."""

OPTION_SYNONYMS = {
    "--cron": "--schedule",
    "--tz": "--timezone",
    "--zone": "--timezone",
    "--cmd": "--command",
    "--retries": "--max-attempts",
    "--attempts": "--max-attempts",
    "--status": "--state",
    "--dag": "--job",
    "--name": "--job",
    "--id": "--request-id",
    "--in": "--at",
    "--when": "--at",
    "--delay": "--at",
    "--start": "--from",
    "--end": "--to",
    "--until": "--to",
    "--reason": "--note",
    "--message": "--note",
    "--format": "--json",
    "--output": "--json",
    "-o": "--json",
    "-j": "--json",
    "-n": "--limit",
    "--count": "--limit",
    "--watch": "--follow",
    "--query": "--command",
    "--background": "--detach",
    "-d": "--detach",
}
NAMED = ("--job", "--dag", "--command")
"""If a command takes no argument, the user may have meant one of these options."""

_UNKNOWN_COMMAND = re.compile(r"No such command '(.*?)'\.")
_EXTRA = re.compile(r"Got unexpected extra argument\(s\) \((.*)\)")
_NOT_ONE_OF = re.compile(r"'(.*)' is not one of ")


def sentence(error: typer.TyperException) -> str:
    """The sentence for an error; empty if the help was shown."""
    said = error.format_message().replace("Value error, ", "").replace("Input should be ", "it must be ")
    context = getattr(error, "ctx", None)
    return _with_suggestion(error, context, said) if context and said else said


def _with_suggestion(error: typer.TyperException, context: Context, said: str) -> str:
    if unknown := _UNKNOWN_COMMAND.match(said):
        meant = _suggested_command(context, unknown[1])
        return f"there is no command {unknown[1]!r}; did you mean `{meant}`?" if meant else said
    if option := getattr(error, "option_name", None):
        return _option_sentence(context, option, said)
    if extra := _EXTRA.fullmatch(said):
        return _extra_sentence(context, extra[1], said)
    if said.startswith("Missing ") and (examples := EXAMPLES.get(_path(context))):
        return f"{said.rstrip('.')}, as in: {examples[-1] if 'option' in said else examples[0]}"
    if "," in (_NOT_ONE_OF.search(said) or ("", ""))[1]:
        return f"{said} Repeat the option for several values."
    return said


def _suggested_command(context: Context, word: str) -> str | None:
    """Search the user's group, then the top level, then the other groups."""
    root = context.find_root()
    groups = [("" if context is root else context.info_name, context.command), *_groups(root)]
    for name in _spellings(word):
        if name.startswith("--"):
            return f"tidemill {name}"
        for path, group in groups:
            first, _, rest = name.partition(" ")
            found = getattr(group, "commands", {}).get(first)
            if found is not None and (not rest or rest in getattr(found, "commands", {})):
                return " ".join(filter(None, ["tidemill", path, name]))
    return None


def _spellings(word: str) -> Iterator[str]:
    low = word.lower()
    yield from filter(None, [COMMAND_SYNONYMS.get(low), low, low.removesuffix("s"), f"{low}s"])


def _groups(root: Context) -> Iterator[tuple[str, object]]:
    yield "", root.command
    for name, command in getattr(root.command, "commands", {}).items():
        if hasattr(command, "commands"):
            yield name, command


def _option_sentence(context: Context, option: str, said: str) -> str:
    known = _options(context)
    if OPTION_SYNONYMS.get(option) in known:
        return f"there is no option {option}; did you mean {OPTION_SYNONYMS[option]}?"
    if "--set" in known and option.removeprefix("--").replace("-", "_") in JobSpec.__struct_fields__:
        column = option.removeprefix("--").replace("-", "_")
        return f"there is no option {option}; use --set {column}=VALUE"
    if hasattr(context.command, "commands"):
        return f"there is no option {option} here; write options after the command, as in `tidemill runs --json`"
    return said


def _extra_sentence(context: Context, extra: str, said: str) -> str:
    takes = next((each for each in NAMED if each in _options(context)), None)
    if "--schedule" in _options(context):
        return f"{said}: put quotes around a schedule, as in: tidemill next '*/5 * * * *'"
    if takes is None:
        return f"{said}; see tidemill {_path(context)} --help"
    return f"{said}; did you mean: tidemill {_path(context)} {takes} {shlex.quote(extra)}"


def _options(context: Context) -> set[str]:
    return {name for each in context.command.params for name in each.opts}


def _path(context: Context) -> str:
    return context.command_path.removeprefix("tidemill").strip()
