"""A directory tree that is too deep for recursion and for any path."""

from __future__ import annotations

import os

DEPTH = 5_000
"""Exceeds Python's recursion limit and the longest path that Linux allows."""


def make_deep_tree(directory):
    """Creates DEPTH nested directories below `directory`, with a file in the last one."""
    parent = os.open(directory, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("a", dir_fd=parent)
        child = os.open("a", os.O_RDONLY, dir_fd=parent)
        os.close(parent)
        parent = child
    os.close(os.open("file", os.O_CREAT, dir_fd=parent))
    os.close(parent)
