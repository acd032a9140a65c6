"""The ready file exists only while its process does, and names it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from schemas.ready_file import names_running_process, without_ready_file, write_ready_file


def test_the_ready_file_names_its_process(tmp_path):
    path = tmp_path / "run" / "ready"
    assert not names_running_process(path)
    write_ready_file(path, os.getpid())
    write_ready_file(path, os.getpid())
    assert path.read_text().split()[0] == str(os.getpid())
    assert names_running_process(path)
    assert list(path.parent.iterdir()) == [path]


def test_an_old_ready_file_is_removed_at_the_start_and_ours_at_the_end(tmp_path):
    path = tmp_path / "ready"
    path.write_text("1 of-another-boot 1\n")
    assert not names_running_process(path)
    with without_ready_file(path):
        assert not path.exists()
        write_ready_file(path, os.getpid())
    assert not path.exists()


def test_the_ready_file_of_a_killed_process_is_stale(tmp_path):
    path = tmp_path / "ready"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        write_ready_file(path, process.pid)
        assert names_running_process(path)
        process.kill()
        process.wait()
        assert not names_running_process(path)


@pytest.mark.parametrize("content", ["", "1", "x y z\n", "999999999 a 1\n"])
def test_another_file_is_no_ready_file(tmp_path, content):
    path = tmp_path / "ready"
    path.write_text(content)
    assert not names_running_process(path)


def test_without_the_setting_there_is_no_ready_file():
    with without_ready_file(None):
        write_ready_file(None, os.getpid())
