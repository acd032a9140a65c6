"""Directories of attempts on a real file system: what one attempt does to its place no other attempt finds."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from executors.places import Places
from tests.support.deep_directory import dig

SPARE = 2


@pytest.fixture
def threads():
    """One thread, so that what is submitted last is done last."""
    return ThreadPoolExecutor(1)


@pytest.fixture
def places(tmp_path, threads):
    (tmp_path / "executable").write_text("#!/bin/sh\n")
    (tmp_path / "own").mkdir()
    made = Places(tmp_path / "own", threads, spare=SPARE)
    yield made
    made.close()


@pytest.fixture
def take(places, tmp_path):
    return lambda: places.take(tmp_path / "executable", "job.sh")


@pytest.fixture
def give_back(places, threads):
    """And wait until everything that it asks for is done."""

    def run(*them):
        for each in them:
            places.give_back(each)
        threads.submit(int).result()

    return run


def picture(place):
    """What a process can see of its place, by path."""
    paths = [place.directory, *place.directory.rglob("*")]
    return {path.relative_to(place.directory): _seen(path) for path in paths}


def _seen(path):
    found = path.lstat()
    return found.st_mode, found.st_uid, found.st_gid, tuple(os.listxattr(path, follow_symlinks=False))


def changed(place):
    """When its directories were last changed, by inode."""
    found = [path.stat() for path in (place.cwd, place.checkpoint, place.result.parent)]
    return [(each.st_ino, each.st_ctime_ns) for each in found]


def sh(script, place):
    subprocess.run(["/bin/sh", "-ec", script], cwd=place.cwd, check=True)


def test_a_place_that_is_left_as_it_was_serves_again_under_another_path(take, give_back):
    first = take()
    before, new = changed(first), picture(first)
    give_back(first)
    assert not first.directory.exists()
    second = take()
    assert second.directory != first.directory
    assert (changed(second), picture(second)) == (before, new)


def test_places_are_made_where_they_are_needed_and_kept_as_far_as_attempts_can_need_them(take, give_back, tmp_path):
    them = [take() for _ in range(SPARE + 3)]
    assert len(list((tmp_path / "own").iterdir())) == SPARE + 3
    give_back(*them)
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
def test_whatever_an_attempt_does_to_its_place_the_next_one_finds_its_own_as_new(take, give_back, script):
    first = take()
    new = picture(first)
    sh(script, first)
    give_back(first)
    next_ones = [take() for _ in range(SPARE)]
    assert [picture(each) for each in next_ones] == [new] * SPARE
    give_back(*next_ones)


def test_a_directory_that_is_touched_is_replaced_and_the_others_serve_again(take, give_back):
    first = take()
    before = changed(first)
    sh("echo 1 > ../result/json", first)
    give_back(first)
    after = changed(take())
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, True, False]


def test_a_place_that_something_removed_while_it_was_free_is_no_attempts_trouble(take, give_back, tmp_path):
    first = take()
    new = picture(first)
    give_back(first)
    subprocess.run(["/bin/sh", "-c", "rm -r *"], cwd=tmp_path / "own", check=True)
    assert picture(take()) == new


def test_an_attempt_may_leave_directories_of_any_depth(take, give_back, tmp_path):
    place = take()
    dig(place.cwd)
    give_back(place)
    assert [list((each / "work").iterdir()) for each in (tmp_path / "own").iterdir()] == [[]]


def test_a_place_whose_executable_is_gone_is_refused_and_leaves_nothing(places, threads, tmp_path):
    with pytest.raises(FileNotFoundError):
        places.take(tmp_path / "no such", "job.sh")
    threads.submit(int).result()
    assert list((tmp_path / "own").iterdir()) == []
