"""Finds the paths in a command that the sandbox hides from an attempt, so that an import can name them."""

from __future__ import annotations

import re

from executors.sandbox.visible import DEVICES, ETC, KERNEL_DIRS, SYSTEM_DIRS

VISIBLE = (*SYSTEM_DIRS, *KERNEL_DIRS, *DEVICES, *ETC)
_PATH = re.compile(r"""(?<![^\s"'=(<>;|&:])/[^\s"'();|&<>$*`:]+""")


def hidden_paths(command: str) -> list[str]:
    """The absolute paths in a command line that no attempt sees unless its job unveils them, each once, in order."""
    found = (each.rstrip("/,.") for each in _PATH.findall(command))
    return list(dict.fromkeys(path for path in found if path and not _is_visible(path)))


def _is_visible(path: str) -> bool:
    return any(path == each or path.startswith(f"{each}/") for each in VISIBLE)
