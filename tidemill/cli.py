"""The command line of Tidemill: runs a command, and maps its errors to exit codes.

0: it worked. 1: the command failed, or its subject does not exist. 2: the command, or a value in it, is invalid.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from observe.leave import leave
from schemas.variables import check_variables
from tidemill.commands import Commands

BROKEN_PIPE = 1

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    help="Tidemill: jobs are rows, and executables run on time.",
)


def say_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata  # noqa: PLC0415 - no other command needs it

        typer.echo(f"tidemill {metadata.version('tidemill')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=say_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The options of `tidemill` itself."""


def main() -> None:
    logging.basicConfig(handlers=[logging.NullHandler()])  # no library writes to standard error
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = BROKEN_PIPE
    leave(code)


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code. An error is one sentence on standard error."""
    try:
        _check_text(arguments)
        for warning in check_variables(os.environ):
            _warn(warning)
        return int(app(list(arguments), prog_name="tidemill", standalone_mode=False) or 0)
    except Exception as error:  # noqa: BLE001 - what it does not know, it raises again
        from tidemill.failures import told  # noqa: PLC0415 - the import takes 0.2 s, and only a failure needs it

        return told(error)


def _warn(warning: str) -> None:
    from tidemill.output import complain  # noqa: PLC0415 - most commands have nothing to warn of

    complain(warning)


def _check_text(arguments: Sequence[str]) -> None:
    """Refuse arguments that are not UTF-8 before the command runs: no table and no output can hold them."""
    for each in arguments:
        try:
            each.encode()
        except UnicodeEncodeError as error:
            from tidemill.target import UsageError  # noqa: PLC0415 - as above

            raise UsageError(f"{each!r} is not UTF-8, as all arguments must be") from error
