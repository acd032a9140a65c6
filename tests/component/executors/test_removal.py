"""What processes leave behind is removed from a real file system, whoever the executor is."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from executors.removal import remove_tree
from executors.workspace import Workspace
from tests.support.deep_directory import dig

WITHOUT_PRIVILEGES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []


@pytest.fixture
def remove_unprivileged():
    """Removes a tree in a process to which permissions apply; what it says."""

    def run(directory):
        script = (
            "import sys, pathlib; from executors.removal import remove_tree; remove_tree(pathlib.Path(sys.argv[1]))"
        )
        command = [*WITHOUT_PRIVILEGES, sys.executable, "-c", script, str(directory)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    return run


@pytest.fixture
def tree(tmp_path):
    """Files, links that lead outside, and directories in directories."""
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


def test_what_a_dead_executor_left_is_cleared_at_any_depth(tmp_path):
    left = tmp_path / "work" / "dead.1"
    left.mkdir(parents=True)
    (left / "lock").touch()
    dig(left)
    Workspace(tmp_path / "work", "x.1", cache_dir=tmp_path / "cache", spare_dirs=1).close()
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_directories_that_forbid_it_are_removed_all_the_same(tree, remove_unprivileged, mode):
    for each in [tree / "a" / "b" / "c", tree / "a" / "b", tree / "a", tree]:
        each.chmod(mode)
    assert remove_unprivileged(tree) == ""
    assert not tree.exists()


def test_what_remains_is_said_and_all_the_rest_is_gone(tree, remove_unprivileged):
    tree.parent.chmod(0o555)
    assert "not removed" in remove_unprivileged(tree)
    assert list(tree.iterdir()) == []
    tree.parent.chmod(0o755)


def test_a_link_in_the_place_of_the_directory_is_not_followed(tree):
    link = tree.parent / "elsewhere"
    link.symlink_to(tree)
    remove_tree(link)
    assert (tree / "a").exists()
