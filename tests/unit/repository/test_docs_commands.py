"""Every command that a page, an alert, a metric or the web page names exists, and takes the options that are named."""

from __future__ import annotations

import re

import typer

from tests.unit.repository.test_docs_links import ROOT
from tests.unit.repository.test_tidy import tracked_files
from tidemill.cli import app

PLACES = ("docs/", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "infra/prometheus/", "observe/", "tidemill/")
READ = {".md", ".yaml", ".py"}
OPTION = re.compile(r"(?<!\S)\[?(--?[a-z][\w-]*)")
NAMED = re.compile(r"`(?:\.venv/bin/)?tidemill ([a-z][^`{}]*)`")
TIDEMILL = typer.main.get_command(app)
A_GUESS = "docs/cli.md: jobs"
"""The page says what the answer to this one is."""


def named_commands():
    for path in tracked_files():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(PLACES) and path.suffix in READ:
            for words in NAMED.findall(" ".join(path.read_text(encoding="utf-8").split())):
                yield f"{name}: {words}"


def options_of(words):
    """The options that the named command takes. Raises `KeyError` for a command that does not exist."""
    command = TIDEMILL
    for word in words:
        if word == "…" or not hasattr(command, "commands"):
            break
        command = command.commands[word]
    return {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help", "-h"}


def is_wrong(words):
    try:
        return not set(OPTION.findall(" ".join(words))) <= options_of(words)
    except KeyError:
        return True


def test_a_named_command_exists_and_takes_the_options():
    named = set(named_commands())
    assert len(named) > 100
    assert {each for each in named if is_wrong(each.partition(": ")[2].split())} == {A_GUESS}
