"""`python -m tests.chaos.judge HISTORY`: judges a saved history again, and prints the report."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.chaos.judge.read import load
from tests.chaos.judge.report import report
from tests.chaos.judge.verdict import judge

history = load(Path(sys.argv[1]))
verdict = judge(history)
print(report(history, verdict))
sys.exit(1 if verdict.violations else 0)
