"""Directories of attempts on a real file system: what one attempt does to its directory no other attempt finds."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from executors.attempt_dirs import PARTS, AttemptDirs
from tests.support.deep_directory import make_deep_tree

SPARE = 2


@pytest.fixture
def threads():
    """One thread, so that the last task ends last."""
    return ThreadPoolExecutor(1)


@pytest.fixture
def attempt_dirs(tmp_path, threads):
    (tmp_path / "executable").write_text("#!/bin/sh\n")
    (tmp_path / "own").mkdir()
    made = AttemptDirs(tmp_path / "own", threads, spare=SPARE)
    yield made
    made.close()


@pytest.fixture
def take(attempt_dirs, tmp_path):
    return lambda: attempt_dirs.take(tmp_path / "executable", "job.sh")


@pytest.fixture
def release(attempt_dirs, threads):
    """And wait until everything that it asks for is done."""

    def run(*them):
        for each in them:
            attempt_dirs.release(each)
        threads.submit(int).result()

    return run


def picture(directory):
    """Everything that a process can see of its directory, by path."""
    paths = [directory.path, *directory.path.rglob("*")]
    return {path.relative_to(directory.path): _seen(path) for path in paths}


def _seen(path):
    found = path.lstat()
    return found.st_mode, found.st_uid, found.st_gid, tuple(os.listxattr(path, follow_symlinks=False))


def changed(directory):
    """The inode and modification time of its directories."""
    found = [path.stat() for path in (directory.cwd, directory.checkpoint, directory.result.parent)]
    return [(each.st_ino, each.st_ctime_ns) for each in found]


def sh(script, directory):
    subprocess.run(["/bin/sh", "-ec", script], cwd=directory.cwd, check=True)


def test_a_directory_that_is_left_unchanged_is_reused_under_another_path(take, release):
    first = take()
    before, new = changed(first), picture(first)
    release(first)
    assert not first.path.exists()
    second = take()
    assert second.path != first.path
    assert (changed(second), picture(second)) == (before, new)


def test_a_directory_knows_which_files_its_parts_are(take):
    directory = take()
    found = [(directory.path / part).stat() for part in PARTS]
    assert directory.parts == tuple((each.st_dev, each.st_ino) for each in found)


def test_directories_are_made_on_demand_and_as_many_are_kept_as_attempts_can_need(take, release, tmp_path):
    them = [take() for _ in range(SPARE + 3)]
    assert len(list((tmp_path / "own").iterdir())) == SPARE + 3
    release(*them)
    assert len(list((tmp_path / "own").iterdir())) == SPARE


@pytest.mark.parametrize(
    "script",
    [
        "touch .hidden",
        "mkdir -p a/b && ln -s / a/b/link && chmod 000 a",
        "touch gone && rm gone",
        "echo 1 > ../result/json",
        "mkdir ../result/json",
        "touch ../result/other",
        "touch ../checkpoint/x",
        "touch ../bin/other",
        "rm ../bin/job.sh",
        "rm ../bin/job.sh && mkdir ../bin/job.sh",
        "touch ../beside && touch ../../beside",
        "chmod 777 .",
        "chmod 777 . && chmod 755 .",
        "chmod 500 ../checkpoint",
        "chmod 700 ..",
        "setfattr -n user.x -v 1 . 2>/dev/null || chmod 711 .",
        "rmdir ../work",
        "rmdir ../work && mkdir ../work",
        "rmdir ../work && ln -s /tmp ../work",
        "rmdir ../checkpoint && touch ../checkpoint",
        "mv ../result ../elsewhere && ln -s elsewhere ../result",
        "rm -r ../../[0-9]*",
        'cd ../.. && mv "$(ls)" away && mkdir "$(echo 1)"',
        'cd ../.. && mv "$(ls)" away && ln -s away 1',
    ],
)
def test_whatever_an_attempt_does_to_its_directory_the_next_one_is_as_new(take, release, script):
    first = take()
    new = picture(first)
    sh(script, first)
    release(first)
    next_ones = [take() for _ in range(SPARE)]
    assert [picture(each) for each in next_ones] == [new] * SPARE
    release(*next_ones)


def test_a_part_that_is_changed_is_replaced_and_the_others_are_reused(take, release):
    first = take()
    before = changed(first)
    sh("echo 1 > ../result/json", first)
    release(first)
    after = changed(take())
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, True, False]


def test_a_directory_that_was_removed_while_it_was_free_is_replaced(take, release, tmp_path):
    first = take()
    new = picture(first)
    release(first)
    subprocess.run(["/bin/sh", "-c", "rm -r *"], cwd=tmp_path / "own", check=True)
    assert picture(take()) == new


def test_an_attempt_may_leave_directories_of_any_depth(take, release, tmp_path):
    directory = take()
    make_deep_tree(directory.cwd)
    release(directory)
    assert [list((each / "work").iterdir()) for each in (tmp_path / "own").iterdir()] == [[]]


def test_a_directory_whose_executable_is_gone_is_refused_and_leaves_nothing(attempt_dirs, threads, tmp_path):
    with pytest.raises(FileNotFoundError):
        attempt_dirs.take(tmp_path / "no such", "job.sh")
    threads.submit(int).result()
    assert list((tmp_path / "own").iterdir()) == []
