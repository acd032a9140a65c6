"""The commands of `tidemill`. Each is imported when it is used: the help of all takes 0.2 s instead of 0.6 s."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer._click.core import Command, Context
from typer.core import TyperCommand, TyperGroup

from tidemill.examples import add_examples


class Entry(NamedTuple):
    place: str
    """The module, and the function or the group of commands in it."""
    summary: str
    """The first paragraph of its help: a test compares them."""


PANELS = {
    "The stack": {
        "up": Entry(
            "tidemill.stack:up", "Start Postgres, Kafka, Connect, S3 and every process of Tidemill on this machine."
        ),
        "down": Entry("tidemill.stack:down", "Stop the stack of a data folder, and keep its data."),
        "status": Entry(
            "tidemill.stack:status",
            "Show addresses, processes, the connector, the lag and executors. Exit with 1 if a part does not answer.",
        ),
        "doctor": Entry(
            "tidemill.doctor.command:doctor",
            "Check every part, measure every hop with a probe run, and print what to do. Exit with 1 if unhealthy.",
        ),
        "migrate": Entry(
            "tidemill.stack:migrate",
            "Bring the tables, topics and connector of a deployment up to date. Safe to repeat.",
        ),
        "restored": Entry(
            "tidemill.restored:restored",
            "Repair a deployment after its database was restored from a backup: write every job and DAG again.",
        ),
        "demo": Entry(
            "tidemill.demo.command:demo",
            "Show Tidemill on this machine: run four jobs and a DAG, kill two processes, and check the counts.",
        ),
        "sql": Entry(
            "tidemill.prompt:sql", "Open psql on the stack's database, with the schema tidemill in its search path."
        ),
        "cluster": Entry(
            "tidemill.cluster:app", "Show or change the settings that all processes of a deployment share."
        ),
    },
    "Jobs and runs": {
        "run": Entry("tidemill.runs:run", "Request one run of a job or DAG."),
        "cancel": Entry(
            "tidemill.orders:cancel",
            "Stop a run, or all open runs of a job or DAG: TERM, then KILL after cancel_grace. "
            "Queued runs never start.",
        ),
        "terminate": Entry(
            "tidemill.orders:terminate", "Stop a run, or all open runs of a job or DAG, with KILL at once."
        ),
        "rerun": Entry(
            "tidemill.orders:rerun",
            "Run a run again that has ended, under its own id; with --job, all dead runs of a job, "
            "or failed runs of a DAG.",
        ),
        "backfill": Entry(
            "tidemill.backfill:backfill",
            "Run the past occurrences of a job's or DAG's schedule, also while it is paused. Live runs go first.",
        ),
        "runs": Entry("tidemill.runs:runs", "List runs, the newest first."),
        "show": Entry("tidemill.runs:show", "Show one run: its state, attempts, history, output and result."),
        "explain": Entry(
            "tidemill.explain.command:explain", "Explain why a run ran as it did, or why a job or DAG did not run."
        ),
        "overdue": Entry(
            "tidemill.overdue.command:overdue",
            "List the jobs and DAGs that were due, and have neither a run nor a reason why not.",
        ),
        "audit": Entry(
            "tidemill.audit.command:audit",
            "Prove that all that was due has one outcome or one reason; list what has not.",
        ),
        "simulate": Entry(
            "tidemill.simulate.command:simulate",
            "Show what a job or DAG would do, and what a change would change. Nothing is written.",
        ),
        "backfills": Entry(
            "tidemill.backfill:backfills",
            "List backfills with their progress, the newest first. `tidemill cancel RUN` stops one.",
        ),
        "logs": Entry(
            "tidemill.logs:logs",
            "Print what a run wrote to standard output and standard error. Control characters are shown, not obeyed.",
        ),
        "changes": Entry(
            "tidemill.changes:changes",
            "List who changed which job, DAG or member, and who asked for what, the newest first.",
        ),
        "problems": Entry("tidemill.runs:problems", "List rejected inputs (dead_letter) and alerts, the newest first."),
        "next": Entry(
            "tidemill.time:next_times",
            "Show when a job, a DAG or a schedule is due next. A schedule needs no running stack.",
        ),
        "job": Entry("tidemill.jobs:app", "Put, list, show, pause, resume and delete jobs."),
        "import": Entry(
            "tidemill.importing.command:app",
            "Make jobs of a crontab, of CronJobs in Kubernetes or of a beat schedule in Celery.",
        ),
        "dag": Entry("tidemill.dags:app", "Put, list, show, mark, pause, resume and delete DAGs, and list their runs."),
    },
}
_PANEL_OF = {name: panel for panel, entries in PANELS.items() for name in entries}


class Commands(TyperGroup):
    """The help and the completion of names read `PANELS`; whatever else is asked of a command imports it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: MutableMapping[str, Command] = _Imported()

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 - typer names the arguments
        return list(self.commands)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:  # noqa: ARG002
        return _Named(cmd_name, self.commands) if cmd_name in self.commands else None


class _Imported(MutableMapping[str, Command]):
    """Imports a command when it is looked up."""

    def __init__(self) -> None:
        self._found: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._found:
            self[name] = _imported(name, _PANEL_OF[name])
        return self._found[name]

    def __setitem__(self, name: str, command: Command) -> None:
        self._found[name] = command

    def __delitem__(self, name: str) -> None:
        del self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in _PANEL_OF

    def __iter__(self) -> Iterator[str]:
        return iter(_PANEL_OF)

    def __len__(self) -> int:
        return len(_PANEL_OF)


class _Named(TyperCommand):
    """Stands for a command of which only the name, the summary and the panel are known."""

    def __init__(self, name: str, imported: Mapping[str, Command]) -> None:
        panel = _PANEL_OF[name]
        super().__init__(name, help=PANELS[panel][name].summary, rich_help_panel=panel)
        self._imported = imported

    def make_context(
        self, info_name: str | None, args: list[str], parent: Context | None = None, **extra: Any
    ) -> Context:
        """The context of the command itself, which is then the one that runs."""
        return self._imported[str(self.name)].make_context(info_name, args, parent, **extra)


def _imported(name: str, panel: str) -> Command:
    module, _, attribute = PANELS[panel][name].place.partition(":")
    found = getattr(import_module(module), attribute)
    app = typer.Typer()
    if isinstance(found, typer.Typer):
        app.add_typer(found, name=name, rich_help_panel=panel)
    else:
        app.command(name, rich_help_panel=panel)(found)
    add_examples(app)
    return typer.main.get_group(app).commands[name]
