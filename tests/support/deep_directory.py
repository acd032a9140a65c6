"""A directory tree that is deeper than recursion, or a path, reaches."""

from __future__ import annotations

import os

DEPTH = 5_000
"""Deeper than Python recurses, and longer than a path may be."""


def dig(directory):
    """Levels of directories, with a file at the bottom."""
    here = os.open(directory, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("a", dir_fd=here)
        below = os.open("a", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT, dir_fd=here))
    os.close(here)
