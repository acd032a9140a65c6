"""The ready file is there only while its process is, and names it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from schemas.ready_file import is_of_a_living_process, only_while_this_runs, tell_ready


def test_it_names_the_process_that_is_ready(tmp_path):
    path = tmp_path / "run" / "ready"
    assert not is_of_a_living_process(path)
    tell_ready(path, os.getpid())
    tell_ready(path, os.getpid())
    assert path.read_text().split()[0] == str(os.getpid())
    assert is_of_a_living_process(path)
    assert list(path.parent.iterdir()) == [path]


def test_one_from_before_is_removed_at_the_start_and_ours_at_the_end(tmp_path):
    path = tmp_path / "ready"
    path.write_text("1 of-another-boot 1\n")
    assert not is_of_a_living_process(path)
    with only_while_this_runs(path):
        assert not path.exists()
        tell_ready(path, os.getpid())
    assert not path.exists()


def test_of_a_process_that_was_killed_it_is_stale(tmp_path):
    path = tmp_path / "ready"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        tell_ready(path, process.pid)
        assert is_of_a_living_process(path)
        process.kill()
        process.wait()
        assert not is_of_a_living_process(path)


@pytest.mark.parametrize("content", ["", "1", "x y z\n", "999999999 a 1\n"])
def test_what_is_no_ready_file_is_none(tmp_path, content):
    path = tmp_path / "ready"
    path.write_text(content)
    assert not is_of_a_living_process(path)


def test_without_a_setting_there_is_none():
    with only_while_this_runs(None):
        tell_ready(None, os.getpid())
