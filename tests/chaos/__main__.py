"""`python -m tests.chaos --minutes 3 --seed 7`: real faults on a real stack, then the judge's verdict and the audit."""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

from tests.chaos import table
from tests.chaos.load.load import Load
from tests.chaos.log import Log
from tests.chaos.runner import Run
from tests.chaos.site import Site, running_site
from tests.chaos.verdict import ask_judge, audit, looked_at
from tidemill.target import wall_clock

BEGAN = time.monotonic()


def say(line: str) -> None:
    print(f"{time.monotonic() - BEGAN:7.1f}  {line}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3, help="how long faults happen; start and rest come on top")
    parser.add_argument("--seed", type=int, help="decides which faults happen when; default: another one each time")
    parser.add_argument("--log", type=Path, default=Path(".tidemill/chaos.jsonl"), help="the seed, and each fault")
    parser.add_argument("--write", action="store_true", help="write the table in docs/reliability.md")
    asked = parser.parse_args()
    seed = random.randrange(10_000) if asked.seed is None else asked.seed
    say(f"seed {seed}; to play it again: python -m tests.chaos --minutes {asked.minutes:g} --seed {seed}")
    asked.log.parent.mkdir(parents=True, exist_ok=True)
    with running_site(say) as site:
        say(f"the stack is up in {site.data}")
        outcome, audited = play(site, Log(asked.log, seed, asked.minutes, wall_clock()), seed, asked.minutes)
    print(table.table(outcome))
    if asked.write:
        table.write(outcome)
    return 1 if outcome.broken or audited else 0


def play(site: Site, log: Log, seed: int, minutes: float) -> tuple[table.Outcome, int]:
    """Also returns the exit code of the audit."""
    began = wall_clock()
    run = Run(site, log, seed, say)
    folder = site.journals / "load"
    with Load(site.client, folder, seed) as load:
        run.begin()
        run.play(minutes * 60)
        say("all faults are healed")
        load.finish()
        run.rest(folder)
    rested = wall_clock()
    verdict, report, _ = ask_judge(site, folder, log.path)
    print(report)
    code, audited = audit(site, began, rested)
    outcome = table.Outcome(
        seed=seed,
        minutes=minutes,
        counts={kind.value: count for kind, count in verdict.counts.items()},
        explained=len(verdict.explained),
        looked_at=looked_at(verdict),
        audited=audited,
        happened=log.happened,
        measured=run.measured(),
    )
    return outcome, code


if __name__ == "__main__":
    sys.exit(main())
