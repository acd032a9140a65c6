"""A variable that is not a setting is not passed over in silence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schemas.settings import InvalidSettingsError
from schemas.variables import KNOWN, check_variables
from tests.support.settings_classes import SETTINGS
from tidemill.cli import run

EXAMPLE = Path(__file__).parents[3] / ".env.example"


def test_the_names_are_those_of_the_settings_of_all_processes():
    assert {f"TIDEMILL_{name.upper()}" for each in SETTINGS for name in each.model_fields} == KNOWN


def test_the_example_file_names_them_all():
    assert set(re.findall(r"^(?:# )?(TIDEMILL_\w+)=", EXAMPLE.read_text(), re.MULTILINE)) == KNOWN


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TIDEMILL_POSTGRES_DNS", "TIDEMILL_POSTGRES_DSN"),
        ("TIDEMILL_PARTITION", "TIDEMILL_PARTITIONS"),
        ("TIDEMILL_KAFKA_BOOTSTRAP_SERVERS", "TIDEMILL_KAFKA_BOOTSTRAP"),
        ("TIDEMILL_LEASES", "TIDEMILL_LEASE"),
        ("tidemill_slot", "TIDEMILL_SLOTS"),
    ],
)
def test_a_name_that_resembles_a_setting_is_refused(name, meant):
    with pytest.raises(InvalidSettingsError, match=f"{name.upper()} is not a setting; did you mean {meant}[?]"):
        check_variables(["PATH", name])


@pytest.mark.parametrize("name", ["COLOUR", "HOME", "HOST", "USER", "LOG_LEVEL", "LOG_DIR", "NAME", "WORKERS"])
def test_an_unknown_name_is_reported(name):
    assert check_variables([f"TIDEMILL_{name}"]) == [
        f"TIDEMILL_{name} is not a setting of any process, and has no effect"
    ]


@pytest.mark.parametrize(
    "name",
    [
        *sorted(KNOWN),
        "TIDEMILL_DATA",
        "TIDEMILL_RUN_ID",
        "TIDEMILL_SERVICE_HOST",
        "TIDEMILL_SINK_SERVICE_PORT_HTTP",
        "TIDEMILL_PORT",
        "TIDEMILL_PORT_8080_TCP_ADDR",
        "_TIDEMILL_COMPLETE",
        "HOME",
    ],
)
def test_settings_of_other_processes_and_of_kubernetes_are_accepted(name):
    assert check_variables([name]) == []


def test_the_command_line_reports_an_unknown_variable(capsys, monkeypatch):
    monkeypatch.setenv("TIDEMILL_COLOUR", "green")
    assert run(["next", "@daily", "-n", "1"]) == 0
    assert "TIDEMILL_COLOUR is not a setting" in capsys.readouterr().err
    monkeypatch.setenv("TIDEMILL_PARTITION", "8")
    assert run(["next", "@daily", "-n", "1"]) == 2
    assert "did you mean TIDEMILL_PARTITIONS?" in capsys.readouterr().err
