"""A workplace is judged by its directories, its disk, and a process that starts."""

from __future__ import annotations

import os
from contextlib import closing

import pytest

from executors.workplace import Workplace, shortage
from executors.workspace import Workspace

MB = 1024**2


@pytest.fixture
def place(tmp_path):
    cache = tmp_path / "cache"
    with closing(Workspace(tmp_path / "work", "x.1", cache_dir=cache, spare_dirs=1)) as workspace:
        yield Workplace(workspace, cache)


def test_a_whole_workplace_has_no_problem(place):
    place.doubt_spawn()
    assert place.look() is None


def test_a_file_in_place_of_the_work_directory_is_named(place, tmp_path):
    (tmp_path / "work").rename(tmp_path / "old")
    (tmp_path / "work").touch()
    assert place.look() == f"the work directory {tmp_path}/work/x.1 cannot be used: Not a directory"
    (tmp_path / "work").unlink()
    assert place.look() is None


def test_a_file_in_place_of_the_cache_is_named(place, tmp_path):
    (tmp_path / "cache").touch()
    assert f"{tmp_path}/cache" in place.look()


def test_without_a_process_that_starts_it_is_ill_after_a_doubt(place, monkeypatch, tmp_path):
    program = tmp_path / "true"
    program.write_text("no program")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert place.look() is None
    place.doubt_spawn()
    assert "no process can be started" in place.look()
    assert "no process can be started" in place.look()
    monkeypatch.undo()
    assert place.look() is None


def disk(free, inodes, of=100_000):
    return os.statvfs_result((4096, 4096, 10**9, 10**9, free * MB // 4096, of, inodes, inodes, 0, 255))


@pytest.mark.parametrize(
    ("found", "was_short", "said"),
    [
        (disk(free=32, inodes=500), False, None),
        (disk(free=31, inodes=500), False, "only 31 MB free"),
        (disk(free=32, inodes=499), False, "only 499 inodes free"),
        (disk(free=63, inodes=5000), True, "only 63 MB free"),
        (disk(free=64, inodes=1000), True, None),
        (disk(free=64, inodes=0, of=0), False, None),
    ],
)
def test_too_little_space_or_inodes_is_over_when_there_is_twice_as_much(found, was_short, said):
    assert shortage(found, was_short=was_short) == said
