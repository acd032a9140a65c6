"""The bytes of an attempt's files, whatever it does with them."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from executors.sandbox import disk
from executors.sandbox.disk import Measurement

KB, MB = 1024, 1024**2
NOBODY = 65534
LONGEST_NAME, LONGEST_PATH = 255, 4_096


def fills(directory, limit):
    return Measurement([directory], limit).turn()


def test_a_large_file_fills_a_limit(tmp_path):
    (tmp_path / "big").write_bytes(b"x" * MB)
    assert fills(tmp_path, MB - 1)
    assert not fills(tmp_path, MB + 8 * KB)


def test_a_hole_in_a_file_takes_nothing(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1024 * MB)
    assert not fills(tmp_path, MB)


def test_many_small_files_fill_it_at_any_depth(tmp_path):
    for number in range(30):
        (tmp_path / str(number)).mkdir()
        for name in "abc":
            (tmp_path / str(number) / name).touch()
    assert fills(tmp_path, 120 * 4 * KB - 1)
    assert not fills(tmp_path, 120 * 4 * KB)


def test_directories_are_added(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for each in (first, second):
        each.mkdir()
        (each / "file").write_bytes(b"x" * 100 * KB)
    assert Measurement([first, second], 150 * KB).turn()
    assert not Measurement([first, tmp_path / "missing", first / "file"], 150 * KB).turn()


def test_a_file_with_several_names_counts_once(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100 * KB)
    for name in "bcd":
        (tmp_path / name).hardlink_to(tmp_path / "a")
    assert not fills(tmp_path, 150 * KB)


def test_links_lead_nowhere(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "big").write_bytes(b"x" * MB)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "file").symlink_to(tmp_path / "outside" / "big")
    (tmp_path / "own" / "directory").symlink_to(tmp_path / "outside")
    assert not fills(tmp_path / "own", 8 * KB)


def test_a_directory_that_became_a_link_leads_nowhere(tmp_path, monkeypatch):
    (tmp_path / "outside" / "b").mkdir(parents=True)
    (tmp_path / "outside" / "b" / "big").write_bytes(b"x" * MB)
    (tmp_path / "own" / "a" / "b").mkdir(parents=True)
    monkeypatch.setattr(disk, "ENTRIES_PER_TURN", 2)
    measured = Measurement([tmp_path / "own"], 100 * KB)
    assert not measured.turn()  # it has seen a and a/b
    (tmp_path / "own" / "a").rename(tmp_path / "own" / "was")
    (tmp_path / "own" / "a").symlink_to(tmp_path / "outside")
    assert not measured.turn()


def test_a_directory_that_no_path_reaches_fills_it(tmp_path):
    parent = os.open(tmp_path, os.O_RDONLY)
    for _ in range(LONGEST_PATH // LONGEST_NAME + 1):
        os.mkdir("a" * LONGEST_NAME, dir_fd=parent)
        child = os.open("a" * LONGEST_NAME, os.O_RDONLY, dir_fd=parent)
        os.close(parent)
        parent = child
    os.close(parent)
    assert fills(tmp_path, 1024 * MB)


def test_a_turn_is_bounded_and_the_next_one_goes_on(tmp_path, monkeypatch):
    for number in range(25):
        (tmp_path / str(number)).touch()
    monkeypatch.setattr(disk, "ENTRIES_PER_TURN", 10)
    measured = Measurement([tmp_path], 22 * 4 * KB)
    assert [measured.turn() for _ in range(4)] == [False, False, True, False]


def test_there_is_a_limit_of_files_whatever_the_bytes(tmp_path, monkeypatch):
    for number in range(5):
        (tmp_path / str(number)).touch()
    monkeypatch.setattr(disk, "MOST_ENTRIES", 4)
    assert fills(tmp_path, 1024 * MB)


@pytest.mark.parametrize(("limit", "has"), [(100 * KB, True), (100 * KB + 1, False)])
def test_a_limit_is_reached_by_as_many_bytes(tmp_path, limit, has):
    (tmp_path / "file").write_bytes(b"x" * 100 * KB)
    assert Measurement([tmp_path], limit).has_reached() is has


def test_a_directory_that_its_job_has_closed_is_measured(open_folder):
    with without_rights():
        closed = open_folder / "closed"
        closed.mkdir()
        (closed / "big").write_bytes(b"x" * MB)
        closed.chmod(0)
        assert fills(open_folder, 100 * KB)


@pytest.fixture
def open_folder():
    """Users without rights cannot enter the folders of pytest."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


@contextmanager
def without_rights():
    """As root, this test shows nothing."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(was)
