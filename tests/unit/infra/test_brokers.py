"""A stack has one broker, or three of which one may be away; others may reach each server through a proxy."""

from __future__ import annotations

import pytest

from infra import brokers
from infra.errors import StackError
from infra.options import StackOptions
from infra.ports import Ports
from infra.workers import workers
from tidemill.cli import run

OWNER = {"TIDEMILL_POSTGRES_DSN": "postgresql://tidemill:secret@127.0.0.1:1/tidemill"}
PORTS = {name: number for number, name in enumerate(brokers.ports_of(3), 20_001)}


def test_three_brokers_keep_each_record_three_times_and_need_two(tmp_path):
    found = brokers.replicated_properties(tmp_path, 2, PORTS, {})
    factors = {value for name, value in found.items() if name.endswith("replication.factor")}
    in_sync = {value for name, value in found.items() if name.endswith(("min.isr", "min.insync.replicas"))}
    assert (found["node.id"], factors, in_sync) == (2, {3}, {2})


def test_all_brokers_know_all_controllers(tmp_path):
    voters = {
        brokers.replicated_properties(tmp_path, number, PORTS, {})["controller.quorum.voters"] for number in (1, 2, 3)
    }
    assert voters == {",".join(f"{number}@127.0.0.1:{PORTS[f'controller-{number}']}" for number in (1, 2, 3))}


def test_a_broker_listens_on_its_own_port_and_advertises_the_one_of_a_proxy(tmp_path):
    found = brokers.replicated_properties(tmp_path, 1, PORTS, {"kafka-1": 31_001, "controller-1": 31_002})
    assert f"PLAINTEXT://127.0.0.1:{PORTS['kafka-1']}," in str(found["listeners"])
    assert found["advertised.listeners"] == "PLAINTEXT://127.0.0.1:31001"
    assert str(found["controller.quorum.voters"]).startswith("1@127.0.0.1:31002,2@")


@pytest.mark.parametrize(("was", "asked"), [(1, 3), (3, 1)])
def test_the_number_of_brokers_of_a_folder_does_not_change(tmp_path, was, asked):
    (tmp_path / brokers.names(was)[0] / "log").mkdir(parents=True)
    brokers.check_count(tmp_path, was)
    with pytest.raises(StackError, match=f"Start it with --brokers {was}"):
        brokers.check_count(tmp_path, asked)


def test_two_brokers_are_refused_before_anything_starts(tmp_path, capsys):
    assert run(["up", "--data", str(tmp_path), "--brokers", "2"]) == 2
    assert not list(tmp_path.iterdir())
    assert "--brokers is 2" in capsys.readouterr().err


def test_each_process_waits_for_all_brokers_and_stops_before_them(tmp_path):
    ports = Ports(tmp_path, tmp_path, [])
    options = StackOptions(data=tmp_path, brokers=3, sinks=2)
    parts = {part.name: part for part in workers(options, OWNER, ports)}
    three = {"kafka-1", "kafka-2", "kafka-3"}
    assert three < set(parts["prepare"].waits_for)
    assert all(three < set(part.uses) for part in parts.values())
    assert {"sink", "sink-1"} < parts.keys()
    ports.close()


def test_a_variable_can_be_given_to_one_part_alone(tmp_path):
    ports = Ports(tmp_path, tmp_path, [])
    options = StackOptions(data=tmp_path, workers=2, part_env={"stream-1:TIDEMILL_LEASE": "PT9S"})
    parts = {part.name: part for part in workers(options, OWNER, ports)}
    assert parts["stream-1"].env["TIDEMILL_LEASE"] == "PT9S"
    assert "TIDEMILL_LEASE" not in parts["stream-0"].env
    ports.close()
