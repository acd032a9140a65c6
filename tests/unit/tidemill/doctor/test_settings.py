"""The doctor and `status` report settings that reach no server, and continue."""

from __future__ import annotations

import orjson
import pytest

from tidemill.cli import run

NOWHERE = {
    "TIDEMILL_POSTGRES_DSN": "postgresql://nobody@127.0.0.1:1/nothing",
    "TIDEMILL_CONNECT_URL": "http://127.0.0.1:1",
    "TIDEMILL_S3_ENDPOINT": "http://127.0.0.1:1",
    "TIDEMILL_S3_ACCESS_KEY": "key",
    "TIDEMILL_S3_SECRET_KEY": "secret",
    "TIDEMILL_KAFKA_BOOTSTRAP": "127.0.0.1:1",
}
NONSENSE = 'No such configuration property: "nonsense"'


@pytest.fixture
def with_settings(monkeypatch, tmp_path):
    def call(settings):
        for each, where in (NOWHERE | settings).items():
            monkeypatch.setenv(each, where)
        return "--data", str(tmp_path)

    return call


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TIDEMILL_KAFKA_OPTIONS", '{"nonsense": "1"}', NONSENSE),
        ("TIDEMILL_KAFKA_OPTIONS", '{"retries": {"a": 1}}', "TIDEMILL_KAFKA_BOOTSTRAP or _OPTIONS cannot be used"),
    ],
)
def test_the_doctor_finds_what_keeps_every_client_from_being_made(with_settings, capsys, name, value, said):
    assert run(["doctor", "--json", *with_settings({name: value})]) == 1
    found = {each["name"]: each["sentence"] for each in orjson.loads(capsys.readouterr().out)["findings"]}
    assert said in found["kafka.answers"]
    assert {"postgres.answers", "connect.answers", "s3.bucket"} <= set(found)


def test_the_doctor_finds_each_address_that_is_none(with_settings, capsys):
    wrong = {"TIDEMILL_CONNECT_URL": "localhost", "TIDEMILL_S3_ENDPOINT": "foo"}
    assert run(["doctor", "--json", *with_settings(wrong)]) == 1
    found = {each["name"]: each["sentence"] for each in orjson.loads(capsys.readouterr().out)["findings"]}
    assert "localhost" in found["connect.answers"]
    assert "foo" in found["s3.bucket"]


def test_status_says_it_and_shows_the_rest(with_settings, capsys):
    assert run(["status", "--json", *with_settings({"TIDEMILL_KAFKA_OPTIONS": '{"nonsense": "1"}'})]) == 1
    printed = capsys.readouterr()
    shown = orjson.loads(printed.out)
    assert (shown["connector"], shown["lag"], shown["executors"]) == ("UNREACHABLE", None, None)
    (sentence,) = printed.err.splitlines()
    assert NONSENSE in sentence
