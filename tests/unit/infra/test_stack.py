"""The pure parts of the local stack: options, ports, places, backoff, and what a state file says."""

from __future__ import annotations

import os
import socket
import stat
import sys
from importlib.util import find_spec
from pathlib import Path

import msgspec
import orjson
import pytest
from psycopg.conninfo import conninfo_to_dict

from executors.settings import NOT_FOR_EXECUTORS
from infra import connect, kafka, postgres_installation, s3, stack
from infra import status as states
from infra.credentials import credentials
from infra.errors import StackError
from infra.options import StackOptions, from_arguments, to_arguments
from infra.part import User
from infra.part_supervisor import LONGEST_BACKOFF_SECONDS, PartSupervisor, backoff_seconds
from infra.ports import CANDIDATES, Ports
from infra.process import Identity, identify, last_lines, spawn
from infra.status import Status
from infra.workers import workers
from observe.health import Health
from observe.registry import Registry
from observe.server import observed
from tests.support.settings_classes import SETTINGS

OWNER = {"TIDEMILL_POSTGRES_DSN": "postgresql://tidemill:secret@127.0.0.1:1/tidemill"}
SHOW_ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"
SOMEBODY = User(name="somebody", uid=4711, gid=4712)
FIELDS = {f"TIDEMILL_{name.upper()}" for settings in SETTINGS for name in settings.model_fields}


@pytest.fixture
def ports(tmp_path):
    found = Ports(tmp_path, tmp_path, [])
    yield found
    found.close()


def test_options_survive_the_command_line_of_a_detached_stack(tmp_path):
    options = StackOptions(
        data=tmp_path,
        workers=2,
        executors=3,
        sinks=2,
        partitions=16,
        brokers=3,
        stream_env={"A": "x=y z"},
        executor_env={"B": ""},
        monitor_env={"C": "1"},
        part_env={"sink:D": "="},
        reached={"s3": 9},
        until_parent_exits=True,
        servers_only=True,
        observe=True,
    )
    assert from_arguments(to_arguments(options)) == options
    assert from_arguments([]) == StackOptions(data=Path(".tidemill"))


def test_the_backoff_doubles_up_to_a_limit():
    assert [backoff_seconds(deaths) for deaths in (1, 2, 3)] == [0.5, 1, 2]
    assert backoff_seconds(1000) == LONGEST_BACKOFF_SECONDS


def test_a_stack_keeps_its_ports(tmp_path):
    with_two = Ports(tmp_path, tmp_path, ["a", "b"])
    with_two.close()
    again = Ports(tmp_path, tmp_path, ["a", "b"])
    again.close()
    assert again.by_name == with_two.by_name
    assert len(set(again.by_name.values())) == 2
    assert all(port in CANDIDATES for port in again.by_name.values())


def test_a_port_taken_by_another_process_is_replaced(tmp_path):
    first = Ports(tmp_path, tmp_path, ["a", "b"])
    first.close()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first.by_name["a"]))
        taken.listen()
        second = Ports(tmp_path, tmp_path, ["a", "b"])
        second.close()
    assert second.by_name["a"] != first.by_name["a"]
    assert second.by_name["b"] == first.by_name["b"]


def test_a_port_is_kept_for_a_part_that_some_starts_leave_out(tmp_path):
    first = Ports(tmp_path, tmp_path, ["a"])
    port = first.of("executor-1")
    assert first.of("executor-1") == port
    first.close()
    Ports(tmp_path, tmp_path, ["a"]).close()
    third = Ports(tmp_path, tmp_path, ["a"])
    assert third.of("executor-1") == port
    third.close()


def test_two_stacks_that_start_at_once_do_not_choose_the_same_port(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = Ports(tmp_path / "one", tmp_path, ["a"])
    (tmp_path / "two" / "ports.json").write_bytes((tmp_path / "one" / "ports.json").read_bytes())
    two = Ports(tmp_path / "two", tmp_path, ["a"])
    assert one.by_name["a"] != two.by_name["a"]
    one.close()
    two.close()


def test_credentials_are_random_kept_and_private(tmp_path):
    first = credentials(tmp_path)
    assert credentials(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "credentials.json").stat().st_mode) == 0o600
    (tmp_path / "other").mkdir()
    assert credentials(tmp_path / "other") != first


@pytest.mark.parametrize(
    ("mode", "owner", "group", "may"),
    [
        (0o755, 0, 0, True),
        (0o700, 0, 0, False),
        (0o700, SOMEBODY.uid, 0, True),
        (0o070, SOMEBODY.uid, SOMEBODY.gid, False),
        (0o010, 0, SOMEBODY.gid, True),
        (0o701, 0, SOMEBODY.gid, False),
    ],
)
def test_whether_a_user_can_enter_a_folder(mode, owner, group, may):
    folder = os.stat_result((stat.S_IFDIR | mode, 1, 1, 1, owner, group, 0, 0, 0, 0))
    assert postgres_installation.may_enter(folder, SOMEBODY) is may


def test_the_topmost_closed_folder_is_named(tmp_path):
    outer = tmp_path / "outer"
    inner = outer / "inner"
    inner.mkdir(parents=True)
    inner.chmod(0o700)
    outer.chmod(0o700)
    closed = postgres_installation.closed_folder(inner / "not-made-yet", SOMEBODY)
    assert closed is not None
    assert outer.is_relative_to(closed)


def a_status(data, supervisor, **fields):
    empty = {"ready": True, "addresses": {}, "processes": (), "identities": (), "environment": {}}
    return Status(data=str(data), supervisor=supervisor, **{**empty, **fields})


def test_a_stack_counts_as_running_only_while_its_supervisor_lives(tmp_path):
    me = identify(os.getpid())
    assert stack.status(tmp_path) is None
    states.write(a_status(tmp_path, me, environment={"TIDEMILL_S3_BUCKET": "b"}))
    assert stack.status(tmp_path) is not None
    assert stack.environment(tmp_path) == {"TIDEMILL_S3_BUCKET": "b"}
    states.write(a_status(tmp_path, Identity(pid=me.pid, start_ticks=me.start_ticks - 1)))
    assert stack.status(tmp_path) is None
    assert stack.stop(tmp_path, timeout=1) is False
    with pytest.raises(StackError, match="No stack runs"):
        stack.environment(tmp_path)


def test_a_pid_in_use_by_somebody_else_is_no_leftover(tmp_path):
    me = identify(os.getpid())
    stranger = Identity(pid=me.pid, start_ticks=1)
    assert states.leftovers(a_status(tmp_path, stranger, identities=(stranger, me))) == (me,)


def test_the_state_file_is_private_because_it_holds_passwords(tmp_path):
    states.write(a_status(tmp_path, identify(os.getpid())))
    assert stat.S_IMODE(states.state_file(tmp_path).stat().st_mode) == 0o600


def test_every_worker_is_started_by_a_module_that_exists_with_settings_that_exist(tmp_path, ports):
    options = StackOptions(data=tmp_path, workers=2, executors=2)
    parts = list(workers(options, {**OWNER, "TIDEMILL_PARTITIONS": "8"}, ports))
    names = [part.name for part in parts if not part.once]
    assert names == [
        "stream-0",
        "stream-1",
        "executor-0",
        "executor-1",
        "sink",
        "metrics",
        "web",
        "connect-supervisor",
        "monitor",
    ]
    for part in parts:
        assert find_spec(part.argv[2]) is not None
        assert {name for name in part.env if name.startswith("TIDEMILL_")} <= FIELDS


def test_a_worker_starts_after_the_tables_and_topics_and_stops_before_the_servers(tmp_path, ports):
    parts = {part.name: part for part in workers(StackOptions(data=tmp_path), OWNER, ports)}
    assert parts["stream-0"].waits_for == ("prepare",)
    assert parts["connector"].waits_for == ("prepare", "connect")
    assert {"postgres", "kafka", "s3", "connect"} == set(parts["sink"].uses)


def test_each_of_our_processes_has_a_port_of_its_own_for_its_metrics(tmp_path, ports):
    options = StackOptions(data=tmp_path, workers=2, executors=2)
    parts = [part for part in workers(options, OWNER, ports) if not part.once]
    assert {part.env["TIDEMILL_OBSERVE_LISTEN"] for part in parts} == {f"127.0.0.1:{ports.of(p.name)}" for p in parts}
    assert len({part.observe_port for part in parts}) == len(parts)
    supervisor = PartSupervisor(parts, on_event=print, on_change=lambda: None)
    urls = {each["name"]: each["metrics"] for each in supervisor.processes()}
    assert urls == {part.name: f"http://127.0.0.1:{ports.of(part.name)}/metrics" for part in parts}


def test_a_stack_does_not_wait_for_the_collector_of_its_traces(tmp_path, ports, monkeypatch):
    monkeypatch.setenv("TIDEMILL_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces")
    parts = {part.name: part for part in workers(StackOptions(data=tmp_path), OWNER, ports)}
    health = Health()
    health.not_ready("the collector does not answer")
    for name, has_started in (("traces", True), ("sink", False)):
        assert not parts[name].is_ready(), "nothing answers yet"
        with observed(f"127.0.0.1:{parts[name].observe_port}", Registry(), health):
            assert parts[name].is_ready() is has_started


def test_the_environment_of_one_worker_can_be_extended(tmp_path, ports):
    options = StackOptions(
        data=tmp_path, stream_env={"TIDEMILL_LEASE": "PT9S"}, executor_env={"TIDEMILL_SLOTS": "10s=1"}
    )
    parts = {part.name: part for part in workers(options, OWNER, ports)}
    assert parts["stream-0"].env["TIDEMILL_LEASE"] == "PT9S"
    assert parts["executor-0"].env["TIDEMILL_SLOTS"] == "10s=1"
    assert "TIDEMILL_SLOTS" not in parts["stream-0"].env


def test_no_server_listens_beyond_this_machine(tmp_path):
    broker = kafka.server_properties(tmp_path, 1, 2)
    assert all("://127.0.0.1:" in listener for listener in str(broker["listeners"]).split(","))
    assert connect.worker_properties(3, "127.0.0.1:1")["listeners"] == "http://127.0.0.1:3"
    config = s3.prepare(tmp_path, 4, credentials(tmp_path))
    assert "s3proxy.endpoint=http://127.0.0.1:4\n" in config.read_text()


def test_the_tail_of_a_log_keeps_both_ends_of_a_long_line(tmp_path):
    log = tmp_path / "log"
    log.write_text("first\n" + "a" * 5000 + " the reason\nlast\n")
    lines = last_lines(log, 2).splitlines()
    assert lines[0].endswith("the reason")
    assert len(lines[0]) < 1000
    assert lines[1] == "last"
    assert last_lines(tmp_path / "none") == ""


def test_a_status_can_be_shown_as_json(tmp_path):
    process = {"name": "kafka", "pid": 1, "state": "running", "port": 9092, "metrics": None}
    status = a_status(tmp_path, identify(os.getpid()), processes=(process,))
    states.write(status)
    assert states.read(tmp_path) == status
    assert orjson.loads(orjson.dumps(status.processes)) == [process]


def test_the_state_file_of_an_older_release_is_read(tmp_path):
    process = {"name": "sink", "pid": 1, "state": "running", "port": None}
    states.write(a_status(tmp_path, identify(os.getpid()), processes=(process,)))
    assert states.read(tmp_path).processes == ({**process, "metrics": None},)


def test_an_executor_gets_neither_the_database_nor_connect(tmp_path, ports, monkeypatch):
    addresses = dict.fromkeys(NOT_FOR_EXECUTORS, "secret") | OWNER
    monkeypatch.setenv("TIDEMILL_POSTGRES_READ_DSN", "of the shell")
    parts = {part.name: part for part in workers(StackOptions(data=tmp_path), addresses, ports)}
    environments = {name: _environment_of(parts[name]) for name in ("executor-0", "sink")}
    assert environments["sink"].keys() >= addresses.keys()
    assert environments["executor-0"].keys().isdisjoint(NOT_FOR_EXECUTORS)
    assert environments["executor-0"]["TIDEMILL_EXECUTOR_NAME"] == "executor-0"


def test_each_process_logs_in_to_postgres_with_its_own_role_and_password_or_gets_no_address(tmp_path, ports):
    parts = {part.name: part for part in workers(StackOptions(data=tmp_path, executors=1, workers=1), OWNER, ports)}
    dsns = {name: _environment_of(part).get("TIDEMILL_POSTGRES_DSN") for name, part in parts.items()}
    found = {name: conninfo_to_dict(dsn) for name, dsn in dsns.items() if dsn}
    assert {name: each["user"] for name, each in found.items()} == {
        "prepare": "tidemill",
        "connector": "tidemill_connect",
        "sink": "tidemill_sink",
        "web": "tidemill_web",
        "connect-supervisor": "tidemill_connect",
        "monitor": "tidemill_monitor",
    }
    assert len({each["password"] for each in found.values()}) == 5


def _environment_of(part):
    """What a process in the place of the part gets."""
    process = spawn(msgspec.structs.replace(part, argv=(sys.executable, "-c", SHOW_ENVIRONMENT)))
    assert process.wait() == 0
    return orjson.loads(part.log.read_bytes())
