"""The doctor on the real stack: healthy first, then with each part broken in turn, named and repaired."""

from __future__ import annotations

import signal
import urllib.request
from contextlib import contextmanager
from datetime import timedelta

import msgspec
import orjson
import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from connectors.settings import SourceSettings
from connectors.topics import create as put_topics_right
from infra import stack as local
from observe.registry import Registry
from schemas.settings import Connections
from tests.support.waiting import eventually
from tidemill.cli import run
from tidemill.doctor import look_groups, look_kafka, look_services
from tidemill.doctor.check_groups import classes
from tidemill.doctor.checks import findings
from tidemill.doctor.command import look
from tidemill.doctor.facts import Silent
from tidemill.doctor.finding import Level
from tidemill.monitor import canary
from tidemill.monitor.deployment import Deployment
from tidemill.target import wall_clock

pytestmark = pytest.mark.integration
HOP_SECONDS = 5
"""Longer than a working hop takes on a busy machine."""
WELL_SECONDS = 90
HOPS = ("capture", "decide", "claim", "run", "judge", "show")


@pytest.fixture
def doctor(stack, capsys):
    def ask(*options):
        code = run(["doctor", "--json", "--data", str(stack.data), *options])
        found = orjson.loads(capsys.readouterr().out)
        assert (code == 0) is found["healthy"]
        return found

    return ask


@pytest.fixture
def probed(doctor):
    return lambda: doctor("--limit", str(HOP_SECONDS))


@contextmanager
def frozen(stack, *names):
    for each in names:
        stack.signal(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in names:
            stack.signal(each, signal.SIGCONT)


def bad(found):
    return {each["name"]: each["sentence"] for each in found["findings"] if each["level"] == "bad"}


def states(found):
    return {each["hop"]: each["state"] for each in found["hops"]}


def broken(found):
    """Earlier hops may be slow: the machine is busy, and a frozen part has just resumed."""
    return [name for name, state in states(found).items() if state == "broken"]


def test_a_healthy_stack_has_no_findings_and_every_hop_is_timed(doctor):
    found = eventually(lambda: (answer := doctor())["healthy"] and answer, WELL_SECONDS, "a healthy stack")
    assert list(states(found)) == ["capture", "decide", "claim", "fetch", "run", "judge", "show"]
    assert set(states(found).values()) <= {"ok", "slow"}
    assert all(each["took"].startswith("PT") for each in found["hops"])
    assert {"postgres.slot", "kafka.topic_settings", "streams.progress", "s3.bucket", "clocks"} <= {
        each["name"] for each in found["findings"]
    }


def test_a_paused_connector_breaks_the_probe_before_the_topic(stack, probed):
    url = f"{stack.connections.connect_url}/connectors/{SourceSettings().connector_name}"
    put(f"{url}/pause")
    try:
        eventually(lambda: "PAUSED" in said_of_connect(stack), what="a paused connector")
        found = probed()
        assert broken(found) == ["capture"]
        assert "an operator paused it" in bad(found)["connect.connector"]
        assert "Debezium" in bad(found)["hop.capture"]
    finally:
        put(f"{url}/resume")
    eventually(lambda: "PAUSED" not in said_of_connect(stack), what="a connector that goes on")


def put(url):
    urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=15).close()


def said_of_connect(stack):
    seen = look_services.look_connect(stack.connections)
    return "" if isinstance(seen, Silent) or seen.connector is None else str(seen.connector)


def test_hanging_stream_workers_break_the_probe_at_the_decision(stack, probed):
    with frozen(stack, "stream-0", "stream-1"):
        found = probed()
    assert broken(found) == ["decide"]
    assert "stream worker" in bad(found)["hop.decide"]


def test_hanging_executors_break_the_probe_at_the_claim(stack, doctor, probed):
    eventually(lambda: doctor()["healthy"], WELL_SECONDS, "stream workers that came back")
    with frozen(stack, "executor-0", "executor-1"):
        found = probed()
    assert broken(found) == ["claim"]
    assert "check that an executor of the class runs" in remedy(found, "hop.claim")


def remedy(found, name):
    return next(each["remedy"] for each in found["findings"] if each["name"] == name)


def test_a_hanging_sink_breaks_the_probe_at_its_end(stack, doctor, probed):
    eventually(lambda: doctor()["healthy"], WELL_SECONDS, "executors that came back")
    with frozen(stack, "sink"):
        found = probed()
    assert broken(found) == ["show"]
    assert "connectors.sink" in remedy(found, "hop.show")


def test_a_canary_run_measures_every_hop_and_a_lost_one_is_awaited(stack, monkeypatch):
    monkeypatch.setattr(canary, "HOP_LIMIT", timedelta(seconds=HOP_SECONDS))
    requests = "select count(*) as n from requests where job_id = 'tidemill-canary'"
    before = stack.rows(requests)[0]["n"]
    registry = Registry()
    monitored, figure = canary.Canary(Deployment(stack.connections), registry), registry.prometheus.get_sample_value
    eventually(lambda: monitored.round() or figure("tidemill_canary_seconds_count"), WELL_SECONDS, "a canary run")
    assert {hop: figure("tidemill_hop_seconds_count", {"hop": hop}) > 0 for hop in HOPS} == dict.fromkeys(HOPS, True)
    runs, lost = figure("tidemill_canary_runs_total"), figure("tidemill_canary_lost_total")
    with frozen(stack, "sink"):
        for _ in range(2):
            monitored.round()
        assert figure("tidemill_canary_runs_total") == runs + 2
        assert figure("tidemill_canary_lost_total") == lost + 2
    assert stack.rows(requests)[0]["n"] == before + runs + 1
    back = figure("tidemill_canary_seconds_count") + 1
    eventually(lambda: monitored.round() or figure("tidemill_canary_seconds_count") == back, WELL_SECONDS, "the next")


def test_the_monitor_of_the_stack_shows_its_figures(stack):
    eventually(lambda: metrics_of(stack, "monitor").get("tidemill_process_ready") == 1, WELL_SECONDS, "a ready monitor")

    def all_known():
        found = metrics_of(stack, "monitor")
        return EXPECTED.items() <= found.items() and found

    eventually(all_known, WELL_SECONDS, lambda: str(metrics_of(stack, "monitor")))


EXPECTED = {
    "tidemill_overdue_jobs": 0,
    "tidemill_unjudged_jobs": 0,
    "tidemill_unowned_partitions": 0,
    "tidemill_clock_difference_seconds": 0,
    'tidemill_executors{class="10s"}': 2,
    'tidemill_waiting_records{reader="sink"}': 0,
    'tidemill_waiting_oldest_seconds{reader="streams"}': 0,
    'tidemill_part_up{part="postgres"}': 1,
    'tidemill_part_up{part="kafka"}': 1,
    'tidemill_part_up{part="connect"}': 1,
    'tidemill_part_up{part="s3"}': 1,
}


def metrics_of(stack, name):
    process = next(each for each in local.status(stack.data).processes if each["name"] == name)
    with urllib.request.urlopen(process["metrics"], timeout=15) as answer:
        lines = answer.read().decode().splitlines()
    return {series: float(figure) for series, _, figure in (each.rpartition(" ") for each in lines if each[0] != "#")}


def test_a_topic_with_another_configuration_is_found_and_corrected(stack, doctor):
    name = stack.connections.topic("deadletter")
    entry = ConfigEntry("max.message.bytes", "1000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
    admin = AdminClient(stack.connections.kafka())
    admin.incremental_alter_configs([resource])[resource].result(10)
    try:
        found = eventually(lambda: bad(doctor("--no-probe")).get("kafka.topic_settings"), what="the changed topic")
        assert f"{name} has max.message.bytes=1000" in found
    finally:
        put_topics_right(stack.connections)


def test_missing_things_that_the_environment_names_are_reported(stack):
    """Another class and another N than the deployment's, and a missing bucket; other settings are unchanged."""
    place = Connections(
        **stack.connections.model_dump() | {"timeout_classes": "10s,48h", "partitions": 16, "s3_bucket": "not-there"}
    )
    said = [(each.name, each.sentence) for each in findings(look(place, stack.data)) if each.remedy]
    assert any(name == "settings.environment" and "16, and the topics have 8" in it for name, it in said)
    assert any(name == "settings.environment" and "TIDEMILL_TIMEOUT_CLASSES is 10s,48h" in it for name, it in said)
    assert any("there is no bucket not-there" in it for _, it in said)
    assert not {name for name, _ in said} & {"kafka.topics", "kafka.partitions", "executors.classes"}


def test_a_class_without_executors_is_reported(stack):
    smaller = Connections(**stack.connections.model_dump() | {"timeout_classes": "10s"})
    found = look_groups.look_executors(smaller, wall_clock())
    assert not isinstance(found, Silent)
    assert [each.level for each in classes(found)] == [Level.OK]
    (unserved,) = classes(msgspec.structs.replace(found, classes=("10s", "48h")))
    assert "no executor has slots for the class 48h" in unserved.sentence


def test_unreachable_servers_are_reported_with_a_reason(stack):
    nowhere = replace_addresses(stack.connections)
    assert isinstance(look_kafka.look(nowhere), Silent)
    connect = look_services.look_connect(nowhere)
    assert isinstance(connect, Silent)
    assert "refused" in connect.reason
    assert "Could not connect" in (look_services.look_s3(nowhere).refused or "")


def replace_addresses(connections):
    away = {"kafka_bootstrap": "127.0.0.1:9", "connect_url": "http://127.0.0.1:9", "s3_endpoint": "http://127.0.0.1:9"}
    return Connections(**connections.model_dump() | away)


def test_the_stack_is_healthy_again(doctor):
    eventually(lambda: doctor("--no-probe")["healthy"], WELL_SECONDS, "a healthy stack")
