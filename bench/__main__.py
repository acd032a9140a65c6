"""`make bench`: measures the figures, prints a table, and writes `results.json` and `RESULTS.md` into this folder."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
import traceback
from collections.abc import Sequence

from rich.console import Console

from bench import (
    api,
    audit,
    brokers,
    bulk,
    burst,
    corebulk,
    corecosts,
    dagcore,
    dags,
    definitions,
    due,
    failover,
    handover,
    history,
    lost,
    million,
    outage,
    pages,
    request,
    sandbox,
    soak,
    throughput,
    tick,
)
from bench.figure import Bench, Figure, Line
from bench.report import Result, load, machine, markdown, save, table
from bench.stacks import Stacks
from schemas.times import rfc3339
from tidemill.target import wall_clock

FIGURES: tuple[Figure, ...] = (
    *tick.FIGURES,
    *corebulk.FIGURES,
    *corecosts.FIGURES,
    *dagcore.FIGURES,
    *million.FIGURES,
    *due.FIGURES,
    *request.FIGURES,
    *throughput.FIGURES,
    *sandbox.FIGURES,
    *dags.FIGURES,
    *failover.FIGURES,
    *handover.FIGURES,
    *brokers.FIGURES,
    *lost.FIGURES,
    *outage.FIGURES,
    *burst.FIGURES,
    *bulk.FIGURES,
    *history.FIGURES,
    *pages.FIGURES,
    *api.FIGURES,
    *audit.FIGURES,
    *definitions.FIGURES,
    *soak.FIGURES,
)
MEASURED, MISSED = 0, 1


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:7.1f} s  {text}\n")

    with contextlib.closing(Stacks(say)) as stacks:
        bench = Bench(short=options.short, stacks=stacks, say=say)
        results = [_measured(bench, each) for each in FIGURES if each.name in options.only]
    Console(soft_wrap=True).print(table(results))
    failed = [each.name for each in results if each.error or any(line.is_met is False for line in each.lines)]
    say(f"missed or not measured: {', '.join(failed)}" if failed else "every figure is met")
    return MISSED if failed and not options.short else MEASURED


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    names = [each.name for each in FIGURES]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", default=",".join(names), help=f"some of {', '.join(names)}, separated by commas")
    parser.add_argument("--short", action="store_true", help="a smoke run: small, and no result is saved")
    options = parser.parse_args(arguments)
    options.only = [name.strip() for name in options.only.split(",")]
    unknown = set(options.only) - set(names)
    if unknown:
        parser.error(f"there is no figure {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return options


def _measured(bench: Bench, figure: Figure) -> Result:
    """Measure a figure and save it at once, so that an interrupted run keeps its earlier results."""
    result = _measure(bench, figure)
    if not bench.short:
        save([result])
        markdown(load([each.name for each in FIGURES]))
    return result


def _measure(bench: Bench, figure: Figure) -> Result:
    """An error ends only this figure, and keeps the lines measured before."""
    bench.say(f"{figure.name}: {figure.claim}")
    lines: list[Line] = []
    began, error = wall_clock(), None
    try:
        for line in figure.measure(bench):
            lines.append(line)
            bench.say(f"{figure.name}: {line.what} {line.value:.4g} {line.unit}")
    except Exception as problem:  # noqa: BLE001 - after any error, the next figure is measured
        traceback.print_exc()
        error = f"{type(problem).__name__}: {problem}".splitlines()[0][:300]
        bench.stacks.close()  # the failure may have left the stack in any state
    return Result(
        name=figure.name,
        claim=figure.claim,
        measured_at=rfc3339(began),
        machine=machine(),
        lines=tuple(lines),
        error=error,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
