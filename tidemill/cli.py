"""The command line of Tidemill: registers every command, and maps errors to exit codes.

0: it worked. 1: the command failed, or its subject does not exist. 2: the command, or a value in it, is invalid.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated

import psycopg
import typer

from schemas.errors import TidemillError
from schemas.settings import InvalidSettingsError
from schemas.variables import check_variables
from tidemill import backfill, cluster, dags, jobs, logs, orders, prompt, runs, stack, time
from tidemill.audit.command import audit
from tidemill.demo import command as demo
from tidemill.doctor.command import doctor
from tidemill.examples import add_examples
from tidemill.explain.command import explain
from tidemill.guesses import sentence
from tidemill.output import complain
from tidemill.overdue.command import overdue
from tidemill.restored import restored
from tidemill.target import UsageError

FAILED = 1
REFUSED = 2
REFUSALS = psycopg.IntegrityError | psycopg.DataError | psycopg.ProgrammingError
"""The database refuses a value."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    help="Tidemill: jobs are rows, and executables run on time.",
)


def say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tidemill {metadata.version('tidemill')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=say_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The options of `tidemill` itself."""


for _command in (stack.up, stack.down, stack.status, doctor, stack.migrate, restored, demo.demo):
    app.command(rich_help_panel="The stack")(_command)
app.add_typer(cluster.app, name="cluster", rich_help_panel="The stack")
app.add_typer(jobs.app, name="job", rich_help_panel="Jobs and runs")
app.add_typer(dags.app, name="dag", rich_help_panel="Jobs and runs")
for _order in (runs.run, orders.cancel, orders.terminate, orders.rerun, backfill.backfill):
    app.command(rich_help_panel="Jobs and runs")(_order)
for _reader in (runs.runs, runs.show, explain, overdue, audit, backfill.backfills, logs.logs, runs.problems):
    app.command(rich_help_panel="Jobs and runs")(_reader)
app.command("next", rich_help_panel="Jobs and runs")(time.next_times)
app.command(rich_help_panel="The stack")(prompt.sql)
add_examples(app)


def main() -> None:
    logging.basicConfig(handlers=[logging.NullHandler()])  # no library writes to standard error
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code. An error is one sentence on standard error."""
    try:
        _check_text(arguments)
        for warning in check_variables(os.environ):
            complain(warning)
        return int(app(list(arguments), prog_name="tidemill", standalone_mode=False) or 0)
    except typer.TyperException as error:
        if said := sentence(error):
            complain(said)
        return error.exit_code
    except typer.Abort:
        complain("interrupted")
        return FAILED
    except TidemillError as error:
        complain(str(error))
        return REFUSED if isinstance(error, (UsageError, InvalidSettingsError)) else FAILED
    except BrokenPipeError:
        raise
    except OSError as error:
        complain(str(error))
        return FAILED
    except psycopg.Error as error:
        complain(_sentence(error))
        return REFUSED if isinstance(error, REFUSALS) else FAILED


def _check_text(arguments: Sequence[str]) -> None:
    """Refuse arguments that are not UTF-8 before the command runs: no table and no output can hold them."""
    for each in arguments:
        try:
            each.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"{each!r} is not UTF-8, as all arguments must be") from error


def _sentence(error: psycopg.Error) -> str:
    """The database's message with its hint, or why it does not answer."""
    said = error.diag.message_primary or str(error).strip().splitlines()[0]
    hint = error.diag.message_hint
    return f"{said} ({hint})" if hint else said
