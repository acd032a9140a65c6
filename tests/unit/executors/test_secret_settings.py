"""Settings that say where secrets are."""

from __future__ import annotations

import pytest

from executors.settings import ExecutorSettings
from schemas.settings import InvalidSettingsError, read

SET = {
    "TIDEMILL_SECRETS_DIR": "/run/secrets",
    "TIDEMILL_SECRETS_AWS_REGION": "eu-central-1",
    "TIDEMILL_SECRETS_COMMAND": "helper --all",
}


def settings(monkeypatch, **variables):
    for name in SET:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return read(ExecutorSettings)


@pytest.mark.parametrize("name", [None, *SET])
def test_an_executor_has_one_provider_or_none(monkeypatch, name):
    assert settings(monkeypatch, **({name: SET[name]} if name else {}))


@pytest.mark.parametrize("left_out", [None, *SET])
def test_two_providers_are_refused_by_their_names(monkeypatch, left_out):
    chosen = {name: value for name, value in SET.items() if name != left_out}
    with pytest.raises(InvalidSettingsError) as raised:
        settings(monkeypatch, **chosen)
    assert all(name in str(raised.value) for name in chosen)


def test_a_command_with_an_open_quotation_mark_is_refused(monkeypatch):
    with pytest.raises(InvalidSettingsError, match="TIDEMILL_SECRETS_COMMAND"):
        settings(monkeypatch, TIDEMILL_SECRETS_COMMAND="helper 'x")
