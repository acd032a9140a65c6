"""The state file of a stack: its supervisor writes it, and all commands read it."""

from __future__ import annotations

from pathlib import Path
from typing import NotRequired, TypedDict

import msgspec
import orjson

from infra.errors import StackError
from infra.files import write_private
from infra.process import Identity, is_alive


class Process(TypedDict):
    """One row of `tidemill status`."""

    name: str
    pid: int | None
    state: str
    """`starting`, `running`, `restarting` or `stopped`."""
    port: int | None
    metrics: NotRequired[str | None]
    """The URL of the process's metrics; None for Postgres, Kafka, Connect and S3. A state file of an older release has
    no such field; `read` adds it."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    data: str
    supervisor: Identity
    ready: bool
    addresses: dict[str, str]
    """Connection strings: a libpq URI, the bootstrap server, the URLs of Connect and S3."""
    processes: tuple[Process, ...]
    identities: tuple[Identity, ...]
    """The processes' pids with their start times: another process may have the pid by now."""
    environment: dict[str, str]
    """The TIDEMILL_* variables for a client of this stack."""


def state_file(data: Path) -> Path:
    return data / "stack.json"


def write(status: Status) -> None:
    content = orjson.dumps(msgspec.to_builtins(status), option=orjson.OPT_INDENT_2)
    write_private(state_file(Path(status.data)), content)


def read(data: Path) -> Status | None:
    """The state that the supervisor wrote last; the supervisor may be dead. Raises `StackError`."""
    file = state_file(data)
    try:
        found = msgspec.convert(orjson.loads(file.read_bytes()), Status)
    except FileNotFoundError:
        return None
    except (orjson.JSONDecodeError, msgspec.ValidationError) as error:
        raise StackError(
            f"The state file {file} cannot be read ({error}). End the remaining processes of that stack, "
            "and delete the file."
        ) from error
    for each in found.processes:
        each.setdefault("metrics", None)
    return found


def leftovers(status: Status) -> tuple[Identity, ...]:
    """The processes of a stack that still run."""
    return tuple(process for process in (*status.identities, status.supervisor) if is_alive(process))
