"""Asks the judge and the audit what the faults have broken."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import orjson

from schemas.times import rfc3339
from tests.chaos.judge.history import History
from tests.chaos.judge.read import read_history, save
from tests.chaos.judge.report import report
from tests.chaos.judge.verdict import judge
from tests.chaos.judge.violations import Verdict
from tests.chaos.site import Site
from tidemill.target import wall_clock

AUDIT_SECONDS = 120
AUDITED_UP_TO = timedelta(minutes=1)
"""The audit looks at what is older."""
SHOWN = 10


def ask_judge(site: Site, folder: Path, log: Path) -> tuple[Verdict, str, History]:
    """The verdict, and the report for a reader. The history is saved beside the log, to judge it again."""
    history = read_history(site.client, folder, log)
    save(history, log.with_suffix(".history.json"))
    verdict = judge(history)
    return verdict, report(history, verdict), history


def looked_at(verdict: Verdict) -> str:
    tally = verdict.tally
    return (
        f"The judge matched {tally.required} occurrences, {tally.requests} requests, {tally.stops} stops and"
        f" {tally.epochs} DAG runs with {tally.executions} processes."
    )


def audit(site: Site, began: datetime, rested: datetime) -> tuple[int, str]:
    """The exit code of `tidemill audit`, and what it found, in a sentence."""
    time.sleep(max((rested + AUDITED_UP_TO - wall_clock()).total_seconds() + 1, 0))
    command = ("audit", f"--from={rfc3339(began)}", "--against=both", "--json", f"--data={site.data}")
    done = subprocess.run(
        [sys.executable, "-m", "tidemill", *command], capture_output=True, timeout=AUDIT_SECONDS, check=False
    )
    if not done.stdout:
        return done.returncode, f"`tidemill audit` failed: {done.stderr.decode(errors='replace').strip()}"
    answer = orjson.loads(done.stdout)
    found = Counter(each["finding"] for each in answer["found"])
    said = ", ".join(f"{count} {name}" for name, count in sorted(found.items())) or "nothing"
    examples = [orjson.dumps(each).decode() for each in answer["found"][:SHOWN]]
    print("\n".join(examples))
    return (
        done.returncode,
        f"`tidemill audit --against both` found {said} in {answer['counts']['expected']} occurrences.",
    )
