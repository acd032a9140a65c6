"""Starts the local stack, reads its status and stops it: `python -m infra.stack --data DIR`."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from infra import brokers, connect, extra, grafana_command, jars, packages, postgres, process_roles, prometheus_part, s3
from infra import status as states
from infra.credentials import Credentials, credentials
from infra.errors import StackError
from infra.options import StackOptions, from_arguments, to_arguments
from infra.part import Part
from infra.part_supervisor import PartSupervisor
from infra.ports import Ports
from infra.process import identify, last_lines
from infra.settings import InfraSettings
from infra.status import Status
from infra.wakeup import Wakeup
from infra.workers import keep_own_s3, workers
from schemas.settings import AgreedSettings, Connections, read

__all__ = ["StackError", "StackOptions", "Status", "environment", "run", "start_detached", "status", "stop"]

PORTS = ("postgres", "connect", "s3")
"""Besides those of the brokers."""
LEFTOVER_SECONDS = 15.0
"""After the supervisor is killed, its parts may take this long to end."""
START_SECONDS = 420.0
"""`start_detached` waits for at most this long: downloads and the slowest start."""
LOOK_AGAIN_SECONDS = 0.05


def run(options: StackOptions, on_event: Callable[[str], None], on_ready: Callable[[Status], None]) -> int:
    """Run in the main thread until SIGINT, SIGTERM or SIGHUP; then stop all parts and return the exit code.

    Raises `StackError` if the stack cannot start; then no part is left running.
    """
    extra.need()
    parent = os.getppid()
    options = _absolute(options)
    settings = read(InfraSettings)
    if options.observe:  # before anything is made or started, for it may be missing
        packages.program("prometheus", settings, on_event)
    with _locked(options.data):
        _end_leftovers(options.data)
        brokers.check_count(options.data, options.brokers)
        names = (*PORTS, *brokers.ports_of(options.brokers))
        with contextlib.closing(Ports(options.data, settings.cache.expanduser(), names)) as ports:
            keys = credentials(options.data)
            environment = _environment(options, ports.by_name, keys)
            parts = [*_servers(options, ports.by_name, keys, settings, on_event)]
            if not options.servers_only:
                keep_own_s3(options, environment)
                parts += workers(options, environment, ports)
            if options.observe:
                parts.append(prometheus_part.prepare(options.data, ports.of("prometheus"), parts, settings, on_event))
                grafana_command.prepare(options.data, ports.of("prometheus"), environment)
            with Wakeup() as wakeup:  # before this line no part runs, so a signal may end this process
                _supervise(options, parts, environment, wakeup, on_event, on_ready, parent)
    return 0


def start_detached(options: StackOptions) -> Status:
    """Start the stack in its own session, and return when it is ready. Raises `StackError` with the end of its log."""
    options = _absolute(options)
    if status(options.data) is not None:
        raise StackError(_already_running(options.data))
    log = options.data / "logs" / "stack.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "infra.stack", *to_arguments(options)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        return _await_ready(options.data, child, log)
    except BaseException:  # also on Ctrl-C: leave no stack that is only half started
        child.terminate()
        child.wait()
        raise


def _await_ready(data: Path, child: subprocess.Popen[bytes], log: Path) -> Status:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = status(data)
        if found is not None and found.ready and found.supervisor.pid == child.pid:
            return found
        if child.poll() is not None:
            raise StackError(f"The stack did not start. The end of {log}:\n{last_lines(log, 12)}")
        time.sleep(LOOK_AGAIN_SECONDS)
    raise StackError(f"The stack was not ready after {START_SECONDS:.0f} s. The end of {log}:\n{last_lines(log)}")


def stop(data: Path, timeout: float) -> bool:
    """Ask the supervisor to stop; after `timeout` seconds, kill it and its parts. False if no stack ran."""
    found = status(data)
    if found is None:
        return False
    _signal(found.supervisor.pid, signal.SIGTERM)
    if not _gone(found, timeout):
        _signal(found.supervisor.pid, signal.SIGKILL)
        _end_leftovers(data)
    return True


def status(data: Path) -> Status | None:
    """None if no stack runs in this folder."""
    found = states.read(data.absolute())
    return None if found is None or identify(found.supervisor.pid) != found.supervisor else found


def environment(data: Path) -> dict[str, str]:
    """The TIDEMILL_* variables with which a client process finds this stack. Raises `StackError` if none runs."""
    found = status(data)
    if found is None:
        raise StackError(f"No stack runs in {data}.")
    return dict(found.environment)


def _supervise(
    options: StackOptions,
    parts: list[Part],
    environment: Mapping[str, str],
    wakeup: Wakeup,
    on_event: Callable[[str], None],
    on_ready: Callable[[Status], None],
    parent: int,
) -> None:
    me = identify(os.getpid())
    assert me is not None

    def current() -> Status:
        return Status(
            data=str(options.data),
            supervisor=me,
            ready=supervisor.booted,
            addresses={
                **_addresses(environment),
                **brokers.addresses(parts),
                **_address_of_web(parts),
                **prometheus_part.addresses(parts),
            },
            processes=supervisor.processes(),
            identities=supervisor.identities(),
            environment=dict(environment),
        )

    def orphaned() -> bool:
        return options.until_parent_exits and os.getppid() != parent

    def ready() -> None:
        states.write(current())
        on_ready(current())

    supervisor = PartSupervisor(
        parts, on_event=on_event, on_change=lambda: states.write(current()), should_stop=orphaned
    )
    supervisor.run(wakeup, ready)


def _servers(
    options: StackOptions,
    ports: Mapping[str, int],
    keys: Credentials,
    settings: InfraSettings,
    on_event: Callable[[str], None],
) -> Iterator[Part]:
    data = options.data
    class_path = jars.class_paths(settings.cache, on_event)
    installation = postgres.prepare(data, settings.postgres_home, keys, on_event)
    yield postgres.part(data, ports["postgres"], installation)
    yield from brokers.parts(data, options.brokers, ports, options.reached, class_path["kafka"])
    bootstrap = _bootstrap(options, {**ports, **options.reached})
    worker = connect.prepare(data, ports["connect"], bootstrap, brokers.copies(options.brokers))
    yield connect.part(data, ports["connect"], worker, class_path["kafka"], brokers.names(options.brokers))
    yield s3.part(data, ports["s3"], s3.prepare(data, ports["s3"], keys), class_path["s3"])


def _bootstrap(options: StackOptions, ports: Mapping[str, int]) -> str:
    return ",".join(f"127.0.0.1:{ports[name]}" for name in brokers.names(options.brokers))


def _environment(options: StackOptions, own: Mapping[str, int], keys: Credentials) -> dict[str, str]:
    """The stack's addresses; other settings, such as TIDEMILL_TOPIC_PREFIX, come from the caller's environment."""
    ports = {**own, **options.reached}
    fields = {f"TIDEMILL_{name.upper()}" for name in Connections.model_fields | AgreedSettings.model_fields}
    return {
        **{name: value for name, value in os.environ.items() if name in fields},
        "TIDEMILL_POSTGRES_DSN": postgres.dsn(ports["postgres"], keys),
        "TIDEMILL_POSTGRES_READ_DSN": postgres.dsn(ports["postgres"], keys),
        "TIDEMILL_CONNECT_POSTGRES_USER": process_roles.CONNECT,
        "TIDEMILL_CONNECT_POSTGRES_PASSWORD": process_roles.password_of(keys.postgres_password, process_roles.CONNECT),
        "TIDEMILL_KAFKA_BOOTSTRAP": _bootstrap(options, ports),
        "TIDEMILL_KAFKA_OPTIONS": "{}",
        "TIDEMILL_CONNECT_URL": f"http://127.0.0.1:{ports['connect']}",
        "TIDEMILL_S3_ENDPOINT": f"http://127.0.0.1:{ports['s3']}",
        "TIDEMILL_S3_BUCKET": "tidemill",
        "TIDEMILL_S3_ACCESS_KEY": keys.s3_access_key,
        "TIDEMILL_S3_SECRET_KEY": keys.s3_secret_key,
        "TIDEMILL_S3_REGION": "us-east-1",
        "TIDEMILL_PARTITIONS": str(options.partitions),
        "TIDEMILL_REPLICATION_FACTOR": str(brokers.copies(options.brokers)),
    }


def _address_of_web(parts: Iterable[Part]) -> dict[str, str]:
    """Empty if only the servers run."""
    ports = [part.port for part in parts if part.name == "web"]
    return {name: f"http://127.0.0.1:{port}/{path}" for port in ports for name, path in (("web", ""), ("api", "v1"))}


def _addresses(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        "postgres": environment["TIDEMILL_POSTGRES_DSN"],
        "kafka": environment["TIDEMILL_KAFKA_BOOTSTRAP"],
        "connect": environment["TIDEMILL_CONNECT_URL"],
        "s3": environment["TIDEMILL_S3_ENDPOINT"],
    }


def _absolute(options: StackOptions) -> StackOptions:
    return msgspec.structs.replace(options, data=options.data.absolute())


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[None]:
    """Allow one supervisor per data folder; the kernel releases the lock when the process ends."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StackError(_already_running(data)) from error
        yield


def _already_running(data: Path) -> str:
    return f"A stack already runs in {data}. Stop it with `tidemill down --data {data}`, or use another folder."


def _end_leftovers(data: Path) -> None:
    """The parts of a killed supervisor end too, but not at once: wait for them, then kill the rest."""
    found = states.read(data)
    if found is None or _gone(found, LEFTOVER_SECONDS):
        return
    for process in states.leftovers(found):
        _signal(process.pid, signal.SIGKILL)
    if not _gone(found, LEFTOVER_SECONDS):
        raise StackError(f"Processes of an earlier stack in {data} cannot be stopped: {states.leftovers(found)}.")


def _gone(found: Status, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while states.leftovers(found):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_AGAIN_SECONDS)
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    try:
        return run(from_arguments(sys.argv[1:]), _say, lambda found: _say(f"Ready: {found.data}"))
    except StackError as error:
        _say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
