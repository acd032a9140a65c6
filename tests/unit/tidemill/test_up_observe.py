"""`tidemill up --observe` says how to open Grafana, or, before it starts anything, how to get Prometheus."""

from __future__ import annotations

import pytest

from infra.process import Identity
from infra.status import Process, Status
from tidemill.cli import run
from tidemill.stack import show_ready


@pytest.mark.parametrize("how", [[], ["--detach"]])
def test_without_prometheus_nothing_starts_and_the_setting_is_named(monkeypatch, tmp_path, capsys, how):
    monkeypatch.setenv("TIDEMILL_PROMETHEUS", str(tmp_path / "missing"))
    assert run(["up", "--observe", "--data", str(tmp_path / "data"), *how]) == 1
    said = capsys.readouterr()
    assert said.err == f"tidemill: TIDEMILL_PROMETHEUS is {tmp_path}/missing, which is not a program.\n"
    assert not (tmp_path / "data" / "postgres").exists()
    assert not (tmp_path / "data" / "stack.json").exists()


@pytest.mark.parametrize("observed", [True, False])
def test_the_command_for_grafana_is_shown_beside_prometheus(tmp_path, capsys, observed):
    row = Process(name="prometheus", pid=1, state="running", port=20_001, metrics=None)
    status = Status(
        data=str(tmp_path),
        supervisor=Identity(pid=1, start_ticks=1),
        ready=True,
        addresses={"web": "http://127.0.0.1:20002/", **({"prometheus": "http://127.0.0.1:20001"} if observed else {})},
        processes=(row,) if observed else (),
        identities=(),
        environment={},
    )
    show_ready(tmp_path, status, 0.0)
    shown = capsys.readouterr().out
    assert ("http://127.0.0.1:20001" in shown) is observed
    assert ("tidemill-overview?var-web=http%3A%2F%2F127.0.0.1%3A20002 " in shown) is observed
    assert (f"--env-file={tmp_path}/grafana.env" in shown) is observed
