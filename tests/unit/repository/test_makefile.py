"""`make` lists what it can do."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_make_alone_lists_every_target_with_what_it_does():
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    listed = re.findall(r"^  make (\w+) +\S", done.stdout, re.MULTILINE)
    (targets,) = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert listed == targets.split()
