"""Asks the command line for completions as fish does on TAB: the answers are lines."""

from __future__ import annotations

import os
from unittest import mock

import pytest

from tidemill.cli import run


def completions(line: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The completions of `line`, without descriptions. Fails if anything is written to standard error."""
    asked = {"_TIDEMILL_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    with mock.patch.dict(os.environ, asked | {"_TYPER_COMPLETE_ARGS": line}), pytest.raises(SystemExit) as ended:
        run([])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.err) == (0, "")
    return [row.split("\t")[0] for row in printed.out.splitlines() if row]
