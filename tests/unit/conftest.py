"""Fixtures of several unit tests."""

from __future__ import annotations

import pytest

from tidemill.cli import run


@pytest.fixture
def refused(capsys, monkeypatch, tmp_path):
    """A function that runs a command and returns its one-sentence refusal."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments, code=2):
        assert run(arguments) == code
        printed = capsys.readouterr()
        assert printed.out == ""
        (sentence,) = printed.err.splitlines()
        return sentence.removeprefix("tidemill: ")

    return call
