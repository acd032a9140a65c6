"""Directories of attempts are removed from a real file system, with and without root rights."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from executors.removal import remove_tree
from executors.workspace import Workspace
from tests.support.deep_directory import make_deep_tree

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
