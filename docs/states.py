"""Writes docs/states.md from the tables in the code: `make states`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from executors.attempt import TRANSITIONS, Act, Fact, Phase
from schemas.words import AttemptEnd, RunState
from streams.core.runs.run import LEGAL

PAGE = Path(__file__).with_name("states.md")

RUN_STATES = {
    RunState.QUEUED: "It waits for its time, for other runs of its job, for a slot, or for its executor to start it.",
    RunState.RUNNING: "Its process runs. A DAG run: its nodes run. A backfill: its runs run.",
    RunState.RETRY_WAIT: "Its last attempt did not succeed; it waits for the next one.",
    RunState.CANCELLING: "It has to stop; its process may still be there.",
    RunState.SUCCEEDED: "Its process ended with exit code 0; or its parts succeeded; or an operator marked the node.",
    RunState.FAILED: "Its only attempt failed, or it failed in a way that is not retried.",
    RunState.TIMED_OUT: "Its last attempt reached its time limit, or the DAG run its own.",
    RunState.CANCELLED: "An operator, a policy or a deletion stopped it, and its process is gone.",
    RunState.DEAD: "It has used up its retries, or the time for them. It is also in `tidemill problems`.",
    RunState.SKIPPED: "It did not run because of a policy, a pause, a branch or a mark. `reason` says which.",
    RunState.MISSED: "It did not run because it was too late. `reason` says why.",
    RunState.UPSTREAM_FAILED: "A node that cannot run, because of what became of the nodes that it depends on.",
}

ATTEMPT_ENDS = {
    AttemptEnd.SUCCEEDED: ("Exit code 0.", "nothing"),
    AttemptEnd.FAILED: ("Another exit code, or a signal that Tidemill did not send.", "`max_attempts`"),
    AttemptEnd.TIMED_OUT: ("It reached the time limit of its job.", "`max_attempts`"),
    AttemptEnd.PROMOTED: ("It reached the limit of its class; the next attempt is in the next class.", "nothing"),
    AttemptEnd.LOST: ("Its executor went silent, or stopped before the process ended.", "`max_infra_retries`"),
    AttemptEnd.CANCELLED: ("It was stopped because its run was.", "nothing"),
    AttemptEnd.REJECTED: ("The executor could not start it, for example without its program.", "`max_infra_retries`"),
    AttemptEnd.EXPIRED: ("No executor took it in time. The run keeps its place in the queue.", "nothing"),
}

PHASES = {
    Phase.CLAIMED: "The executor has taken it, and looks for its program.",
    Phase.ANNOUNCED: "The program is not in the cache: the executor says that it will fetch it.",
    Phase.FETCHING: "The program comes from S3.",
    Phase.STARTED: "The executor has said that it starts the process, and waits until Kafka has that.",
    Phase.SPAWNING: "The supervisor process has the order to start it.",
    Phase.RUNNING: "The process runs.",
    Phase.ENDED: "Nothing follows.",
}

FACTS = {
    Fact.CACHED: "The program is there.",
    Fact.ABSENT: "The program has to be fetched.",
    Fact.ACKNOWLEDGED: "Kafka has the last event.",
    Fact.LATE: "Kafka has it, but the claim is void by now.",
    Fact.FAILED: "The attempt cannot be run.",
    Fact.SPAWNED: "The process is there.",
    Fact.EXITED: "The process is gone, or was never started.",
    Fact.STOP_REQUESTED: "The attempt must end: its owner sent a kill, its lease expired, or the executor stops.",
}

ACTS = {
    Act.ANNOUNCE: "It sends `claimed`.",
    Act.FETCH: "It fetches the program.",
    Act.START: "It sends `started`.",
    Act.SPAWN: "It orders the supervisor to start the process.",
    Act.NOTE: "It logs that the process started.",
    Act.KILL: "It orders the supervisor to end the process.",
    Act.REPORT: "It sends `ended`, with what the supervisor says.",
    Act.GIVE_UP: "It sends `ended`: the attempt never starts.",
    Act.REJECT: "It sends `rejected`.",
    Act.FORGET: "Nothing: the owner judges the silence.",
}

INTRODUCTION = """\
# States

Which state can follow which? `make states` writes this page from the tables in the code, and a test
(`tests/unit/repository/test_states_page.py`) fails if the page differs from them. `tidemill show RUN` and the table
`tidemill.transitions` list the transitions of one run, each with its reason."""

RUNS = """\
Runs of jobs, DAG runs, nodes and backfills share one table: `LEGAL` in
[streams/core/runs/run.py](../streams/core/runs/run.py). Only the function `transition_to` beside it changes a
state, and it refuses every other transition. **Bold** states are final: nothing follows them. `tidemill rerun` begins
the history of a run anew, under the same id."""

ENDS = """\
A run has one attempt after the other. Each attempt ends in one of these ways. When the run has used up what the end
counts against, the run is `dead`, `failed` or `timed_out`."""

ATTEMPTS = """\
From its claim to its end, an attempt goes through these phases on its executor: `TRANSITIONS` in
[executors/attempt.py](../executors/attempt.py). A fact that the table does not list for a phase comes late, and changes
nothing."""


def page() -> str:
    parts = (
        INTRODUCTION,
        "## A run",
        RUNS,
        table(("state", "means", "can be followed by"), _run_rows()),
        diagram(_run_arrows()),
        "## How an attempt ends",
        ENDS,
        table(("end", "means", "counts against"), ((f"`{end.value}`", *ATTEMPT_ENDS[end]) for end in AttemptEnd)),
        "## An attempt on its executor",
        ATTEMPTS,
        table(("phase", "means"), ((f"`{phase.value}`", PHASES[phase]) for phase in Phase)),
        table(("fact", "means"), ((f"`{fact.value}`", FACTS[fact]) for fact in Fact)),
        table(("in phase", "fact", "next phase", "what the executor does"), _attempt_rows()),
        diagram(_attempt_arrows()),
    )
    return "\n\n".join(parts) + "\n"


def _run_rows() -> Iterator[tuple[str, ...]]:
    yield "(new)", "It has no record yet.", _names(LEGAL[None])
    for state in RunState:
        name = f"**`{state.value}`**" if state.is_final else f"`{state.value}`"
        yield name, RUN_STATES[state], _names(LEGAL.get(state, ())) or "-"


def _names(states: Iterable[RunState]) -> str:
    """In the order of the enum: a set has none."""
    found = frozenset(states)
    return ", ".join(f"`{state.value}`" for state in RunState if state in found)


def _run_arrows() -> Iterator[str]:
    for left, allowed in LEGAL.items():
        yield from (f"{left.value if left else '[*]'} --> {to.value}" for to in RunState if to in allowed)
    yield from (f"{state.value} --> [*]" for state in RunState if state.is_final)


def _attempt_rows() -> Iterator[tuple[str, ...]]:
    for (phase, fact), (to, act) in TRANSITIONS.items():
        yield (*(f"`{each.value}`" for each in (phase, fact, to)), ACTS[act])


def _attempt_arrows() -> Iterator[str]:
    yield f"[*] --> {next(iter(Phase)).value}"
    for (phase, fact), (to, _) in TRANSITIONS.items():
        yield f"{phase.value} --> {to.value} : {fact.value}"
    yield f"{Phase.ENDED.value} --> [*]"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (head, tuple("---" for _ in head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def diagram(arrows: Iterable[str]) -> str:
    return "\n".join(("```mermaid", "stateDiagram-v2", *(f"    {arrow}" for arrow in arrows), "```"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
