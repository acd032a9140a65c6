"""Directories of attempts are removed from a real file system, with and without root rights."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tracemalloc

import pytest

from executors.removal import remove_tree
from executors.workspace import Workspace, _remove
from tests.support.deep_directory import make_deep_tree

WAIT_SECONDS = 10.0
ENTRIES = 3_000
WITHOUT_PRIVILEGES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []


@pytest.fixture
def remove_unprivileged():
    """Removes a tree in a process without root rights; returns its output."""

    def run(directory):
        script = (
            "import sys, pathlib; from executors.removal import remove_tree; remove_tree(pathlib.Path(sys.argv[1]))"
        )
        command = [*WITHOUT_PRIVILEGES, sys.executable, "-c", script, str(directory)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    return run


@pytest.fixture
def tree(tmp_path):
    """A tree with files, links that lead outside, and nested directories."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    made = tmp_path / "tree"
    (made / "a" / "b" / "c").mkdir(parents=True)
    (made / "a" / "b" / "file").touch()
    (made / "a" / "b" / "link").symlink_to(outside)
    (made / "link").symlink_to(outside / "file")
    yield made
    assert list(outside.iterdir()) == [outside / "file"]


def test_directories_of_a_dead_executor_are_removed_at_any_depth(tmp_path):
    left = tmp_path / "work" / "dead.1"
    left.mkdir(parents=True)
    (left / "lock").touch()
    make_deep_tree(left)
    Workspace(tmp_path / "work", "x.1", cache_dir=tmp_path / "cache", spare_dirs=1).close()
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_directories_without_permissions_are_removed_too(tree, remove_unprivileged, mode):
    for each in [tree / "a" / "b" / "c", tree / "a" / "b", tree / "a", tree]:
        each.chmod(mode)
    assert remove_unprivileged(tree) == ""
    assert not tree.exists()


def test_files_that_remain_are_reported_and_the_rest_is_removed(tree, remove_unprivileged):
    tree.parent.chmod(0o555)
    assert "not removed" in remove_unprivileged(tree)
    assert list(tree.iterdir()) == []
    tree.parent.chmod(0o755)


def test_a_link_in_the_place_of_the_directory_is_not_followed(tree):
    link = tree.parent / "elsewhere"
    link.symlink_to(tree)
    remove_tree(link)
    assert (tree / "a").exists()


@pytest.fixture
def fills(tree):
    """Processes that make directories in the tree as fast as they can, in ever deeper ones."""
    loop = "i=0; while :; do mkdir -p d/$i d/e/$i 2>/dev/null; : > f$i; i=$((i + 1)); done"
    loops = [subprocess.Popen(["/bin/sh", "-c", loop], cwd=tree / "a") for _ in range(3)]
    while not (tree / "a" / "f9").exists():
        pass
    yield
    for each in loops:
        each.kill()
        each.wait()


def test_a_directory_that_processes_keep_filling_is_given_up_in_time(tree, fills):
    began = time.monotonic()
    remove_tree(tree, seconds=1.0)
    assert time.monotonic() - began < WAIT_SECONDS


def test_a_directory_that_is_not_removed_whole_is_found_by_the_next_executor(tmp_path):
    left = tmp_path / "work" / "dead.1"
    (left / "sub").mkdir(parents=True)
    (left / "lock").touch()
    for number in range(3):
        (left / "sub" / str(number)).touch()
    _remove(left, 0.0)
    assert (left / "lock").exists()


def test_removing_many_entries_takes_no_memory_for_their_names(tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    for number in range(ENTRIES):
        os.mknod(full / f"{number:0200d}")
    tracemalloc.start()
    assert remove_tree(full)
    assert tracemalloc.get_traced_memory()[1] < ENTRIES * 100
    tracemalloc.stop()
