"""Tells an error of a command as one sentence on standard error, with its exit code.

1: the command failed, or its subject does not exist. 2: the command, or a value in it, is invalid.
"""

from __future__ import annotations

import psycopg
import typer

from schemas.errors import TidemillError
from schemas.settings import InvalidSettingsError
from tidemill.guesses import sentence
from tidemill.output import complain
from tidemill.target import UsageError

FAILED = 1
REFUSED = 2
REFUSALS = psycopg.IntegrityError | psycopg.DataError | psycopg.ProgrammingError
"""The database refuses a value."""


def told(error: Exception) -> int:
    """The exit code. Raises `error` if it is a mistake in Tidemill."""
    match error:
        case typer.TyperException():
            if said := sentence(error):
                complain(said)
            return int(error.exit_code)
        case typer.Abort():
            complain("interrupted")
            return FAILED
        case TidemillError():
            complain(str(error))
            return REFUSED if isinstance(error, (UsageError, InvalidSettingsError)) else FAILED
        case BrokenPipeError():
            raise error
        case OSError():
            complain(str(error))
            return FAILED
        case psycopg.Error():
            complain(_sentence(error))
            return REFUSED if isinstance(error, REFUSALS) else FAILED
    raise error


def _sentence(error: psycopg.Error) -> str:
    """The database's message with its hint, or why it does not answer."""
    said = error.diag.message_primary or str(error).strip().splitlines()[0]
    hint = error.diag.message_hint
    return f"{said} ({hint})" if hint else said
