"""What the monitor counts of a canary run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from observe.registry import Registry
from schemas.settings import Connections, InvalidSettingsError, read
from tidemill.doctor.facts import Silent
from tidemill.doctor.hops import Journey, Mark
from tidemill.monitor.canary import Canary
from tidemill.monitor.deployment import Deployment
from tidemill.monitor.settings import MonitorSettings

START = datetime(2026, 11, 21, tzinfo=UTC)


def canary():
    registry = Registry()
    return Canary(Deployment(Connections()), registry), registry.prometheus.get_sample_value


def journey(**seconds):
    marks = {Mark[name]: START + timedelta(seconds=each) for name, each in seconds.items()}
    return Journey(run_id="tidemill-canary#1", marks=marks, succeeded=True, limit=timedelta(seconds=15))


def test_every_hop_exists_at_zero_from_the_start_and_fetch_is_none():
    _, figure = canary()
    for hop in ("capture", "decide", "claim", "run", "judge", "show"):
        assert figure("tidemill_hop_seconds_count", {"hop": hop}) == 0
    assert figure("tidemill_hop_seconds_count", {"hop": "fetch"}) is None


def test_a_run_that_comes_back_is_measured_hop_by_hop():
    monitored, figure = canary()
    monitored.take(
        journey(ACCEPTED=0, CAPTURED=0.1, DISPATCHED=0.3, STARTED=0.6, ENDED=1, JUDGED=1.5, SHOWN=2.5),
    )
    hops = {
        hop: figure("tidemill_hop_seconds_sum", {"hop": hop})
        for hop in ("capture", "decide", "claim", "run", "judge", "show")
    }
    assert {hop: round(each, 3) for hop, each in hops.items()} == {
        "capture": 0.1, "decide": 0.2, "claim": 0.3, "run": 0.4, "judge": 0.5, "show": 1.0,
    }  # fmt: skip
    assert figure("tidemill_canary_seconds_sum") == 2.5
    assert (figure("tidemill_canary_runs_total"), figure("tidemill_canary_lost_total")) == (1, 0)


def test_a_run_that_stops_at_a_hop_is_lost_and_the_hops_before_are_measured():
    monitored, figure = canary()
    monitored.take(journey(ACCEPTED=0, CAPTURED=0.1, DISPATCHED=0.3))
    assert figure("tidemill_hop_seconds_count", {"hop": "decide"}) == 1
    assert figure("tidemill_hop_seconds_count", {"hop": "claim"}) == 0
    assert figure("tidemill_canary_seconds_count") == 0
    assert (figure("tidemill_canary_runs_total"), figure("tidemill_canary_lost_total")) == (1, 1)


def test_a_run_that_cannot_be_requested_is_not_counted():
    monitored, figure = canary()
    monitored.take(Silent(reason="no answer in time"))
    assert (figure("tidemill_canary_runs_total"), figure("tidemill_canary_lost_total")) == (0, 0)


def test_a_pause_in_which_the_alert_on_missing_canary_runs_would_fire_is_refused(monkeypatch):
    monkeypatch.setenv("TIDEMILL_CANARY_INTERVAL", "PT5M")
    assert read(MonitorSettings).canary_interval == timedelta(minutes=5)
    monkeypatch.setenv("TIDEMILL_CANARY_INTERVAL", "PT10M")
    with pytest.raises(InvalidSettingsError, match="TIDEMILL_CANARY_INTERVAL"):
        read(MonitorSettings)
