"""Usability of the command line: examples, completion, color only on request, progress bars only on a terminal."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from schemas.words import RequestKind
from tests.support.shell_completion import completions
from tidemill.cli import app
from tidemill.commands import PANELS
from tidemill.examples import EXAMPLES

SECONDS = 30
NOBODY_LISTENS = "postgresql://nobody@127.0.0.1:1/nothing"
COLOUR = re.compile(rb"\x1b\[(?:\d;)?3[1-7]m")
A_BAR = "from infra.progress import progress\nwith progress('Waiting', lambda: (1, 2)): print('said')"
TIDEMILL = (sys.executable, "-m", "tidemill")
IMPORTS_OF_HELP = """
import sys
from tidemill.cli import run
assert run(["--help"]) == 0
print(*(name for name in sys.modules if name.partition(".")[0] in {"tidemill", "connectors", "psycopg", "pydantic"}))
"""


def commands(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_every_command_has_an_example_and_every_example_a_command():
    assert set(COMMANDS) == set(EXAMPLES)


def test_the_help_of_all_says_of_each_command_what_its_own_help_begins_with():
    imported = typer.main.get_command(app).commands
    begun = {name: " ".join(command.help.partition("\n\n")[0].split()) for name, command in imported.items()}
    assert {name: each.summary for panel in PANELS.values() for name, each in panel.items()} == begun


def test_the_help_of_all_imports_no_command():
    done = subprocess.run([sys.executable, "-c", IMPORTS_OF_HELP], capture_output=True, text=True, check=True)
    assert set(done.stdout.splitlines()[-1].split()) == {
        "tidemill", "tidemill.cli", "tidemill.commands", "tidemill.examples"
    }  # fmt: skip


def test_the_page_of_commands_names_each_command():
    page = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
    assert {name for name in COMMANDS if not re.search(rf"`(?:tidemill )?{name}\b", page)} == set()


def test_each_kind_of_request_is_a_command():
    assert {each.value for each in RequestKind} <= {name.split()[-1] for name in COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_is_shown_by_help_and_can_be_used_as_it_is(name):
    command = COMMANDS[name]
    shown = command.epilog.replace("\\", "")
    assert EXAMPLES[name], name
    for example in EXAMPLES[name]:
        assert example in shown
        words = shlex.split(example.partition(" | ")[0])
        begin = ["tidemill", *name.split()]
        assert words[: len(begin)] == begin
        command.make_context(name, words[len(begin) :])  # refuses unknown options


def on_a_terminal(*arguments, **environment):
    """The output on a terminal, with standard error."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        arguments, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm", **environment}
    ) as process:
        os.close(theirs)
        said = b""
        while piece := _read(ours):
            said += piece
        os.close(ours)
        assert process.wait(SECONDS) == 0, said
    return said


def _read(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""


def piped(*arguments, **environment):
    return subprocess.run(
        arguments, env={**os.environ, **environment}, capture_output=True, timeout=SECONDS, check=False
    )


def test_no_color_is_honoured():
    assert COLOUR.search(on_a_terminal(*TIDEMILL, "--help", NO_COLOR=""))
    assert not COLOUR.search(on_a_terminal(*TIDEMILL, "--help", NO_COLOR="1"))


def test_a_bar_is_shown_to_people_alone():
    seen = on_a_terminal(sys.executable, "-c", A_BAR)
    assert b"Waiting" in seen
    assert b"said" in seen
    unseen = piped(sys.executable, "-c", A_BAR)
    assert (unseen.stdout, unseen.stderr) == (b"said\n", b"")


def test_without_a_stack_completion_offers_what_it_knows_at_once_and_says_nothing_else(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEMILL_POSTGRES_DSN", NOBODY_LISTENS)
    assert completions("tidemill job show ", capsys) == []
    assert completions("tidemill show ", capsys) == []
    assert completions("tidemill runs --state su", capsys) == ["succeeded"]
    assert "put" in completions("tidemill job ", capsys)


def test_a_reader_that_has_seen_enough_is_no_error_to_be_told():
    with subprocess.Popen(
        [*TIDEMILL, "next", "--schedule", "* * * * * *", "-n", "10000", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    ) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(SECONDS) == 1
