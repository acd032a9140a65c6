"""Invalid arguments, settings and times end the command with 2 and one sentence."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from tidemill.explain.history import moments
from tidemill.instants import instant_in
from tidemill.target import UsageError

SECONDS = 30
NOW = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["runs", "--since", "999999d"], "--since '999999d' is not a time from 1970 to 2199"),
        (["runs", "--since", "9" * 5000 + "d"], "is not a time from 1970"),
        (["runs", "--since", "1969-12-31T23:59:59Z"], "is not a time from 1970 to 2199"),
        (["next", "--schedule", "@daily", "--after", "0001-01-01T00:00:00+01:00"], "from 1970 to 2199"),
        (["next", "--schedule", "@daily", "--after", "9999-12-31T23:59:59-01:00"], "from 1970 to 2199"),
    ],
)
def test_a_time_that_nothing_can_be_due_at(refused, arguments, said):
    assert said in refused(*arguments)


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00", "0001-01-01", "2200-01-01"])
def test_explain_is_asked_for_a_time_that_the_tables_can_hold(text):
    with pytest.raises(UsageError, match="is not a time from 1970 to 2199"):
        moments(text, "Europe/Berlin", NOW)
    assert instant_in(text) is None


def test_the_first_and_the_last_instant_can_be_asked_for():
    assert instant_in("1970-01-01T00:00:00Z") == datetime(1970, 1, 1, tzinfo=UTC)
    assert instant_in("2200-01-01T00:59:59+01:00") is not None


@pytest.mark.parametrize(
    "arguments", [["show", "\udcff"], ["run", "j\udcff"], ["job", "put", "a\ud800b", "--tenant", "t"]]
)
def test_an_argument_that_is_no_text(refused, arguments):
    assert "is not UTF-8" in refused(*arguments)


def test_a_byte_that_is_no_text_as_a_shell_hands_it_on():
    ended = subprocess.run(
        [sys.executable, "-m", "tidemill", "show", b"\xff"], capture_output=True, timeout=SECONDS, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr == b"tidemill: '\\udcff' is not UTF-8, as all arguments must be\n"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TIDEMILL_PARTITIONS", "abc", "TIDEMILL_PARTITIONS is 'abc': it must be a valid integer"),
        ("TIDEMILL_KAFKA_OPTIONS", '{"sasl.password": secret', "TIDEMILL_KAFKA_OPTIONS is not JSON: "),
        ("TIDEMILL_KAFKA_OPTIONS", '["secret"]', "TIDEMILL_KAFKA_OPTIONS cannot be used: it must be a valid dict"),
    ],
)
def test_a_setting_that_cannot_be_read(refused, monkeypatch, name, value, said):
    monkeypatch.setenv("TIDEMILL_POSTGRES_DSN", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv(name, value)
    sentence = refused("runs")
    assert sentence.startswith(said)
    assert "secret" not in sentence


def test_a_duration_that_cannot_be_read(refused, monkeypatch):
    monkeypatch.setenv("TIDEMILL_CONNECT_TIMEOUT", "foo")
    monkeypatch.setenv("TIDEMILL_POSTGRES_DSN", "postgresql://nobody@127.0.0.1:1/nothing")
    assert refused("status").startswith("TIDEMILL_CONNECT_TIMEOUT is 'foo': it must be a duration")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"data": 5}', b"\xff"])
@pytest.mark.parametrize("command", [("status",), ("runs",)])
def test_a_state_file_that_is_not_whole(refused, tmp_path, content, command):
    (tmp_path / "stack.json").write_bytes(content)
    said = refused(*command, "--data", str(tmp_path), code=1)
    assert said.startswith(f"The state file {tmp_path / 'stack.json'} cannot be read")
