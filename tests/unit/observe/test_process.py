"""Every process says what it is, and whether it is ready, in its metrics."""

from __future__ import annotations

from importlib import metadata

from prometheus_client import generate_latest

from observe.health import Health
from observe.process import describe_process
from observe.registry import Registry


def test_the_metrics_say_the_kind_the_name_and_the_version_of_a_process():
    registry = Registry()
    describe_process(registry, Health(), kind="streams", name="host-2")
    known = {"kind": "streams", "name": "host-2", "version": metadata.version("tidemill")}
    assert registry.prometheus.get_sample_value("tidemill_process_info", known) == 1


def test_the_metrics_follow_the_readiness_of_the_process():
    registry, health, shown = Registry(), Health(), []
    describe_process(registry, health, kind="streams", name="host")
    for change in (lambda: None, health.ready, lambda: health.not_ready("it recovers"), health.ready, health.leave):
        change()
        shown.append(registry.prometheus.get_sample_value("tidemill_process_ready"))
    assert shown == [0, 1, 0, 1, 0]
    assert b"tidemill_process_ready 0.0" in generate_latest(registry.prometheus)
