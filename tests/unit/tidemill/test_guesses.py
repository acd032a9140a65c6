"""A guessed command line is answered with the one that works."""

from __future__ import annotations

import pytest

from tidemill.cli import run


@pytest.fixture
def said(refused):
    """The refusal of a command line, given as one string."""
    return lambda line: refused(*line.split())


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("help", "tidemill --help"),
        ("version", "tidemill --version"),
        ("jobs", "tidemill job list"),
        ("dags", "tidemill dag list"),
        ("ls", "tidemill job list"),
        ("list", "tidemill job list"),
        ("ps", "tidemill runs"),
        ("log j", "tidemill logs"),
        ("retry j#r", "tidemill rerun"),
        ("kill j#r", "tidemill terminate"),
        ("trigger j", "tidemill run"),
        ("pause j", "tidemill job pause"),
        ("delete j", "tidemill job delete"),
        ("put j", "tidemill job put"),
        ("RUNS", "tidemill runs"),
        ("problem", "tidemill problems"),
        ("mark e#r/n succeeded", "tidemill dag mark"),
        ("job ls", "tidemill job list"),
        ("job rm j", "tidemill job delete"),
        ("job create j", "tidemill job put"),
        ("job run j", "tidemill run"),
        ("job logs j", "tidemill logs"),
        ("job runs j", "tidemill runs"),
        ("dag run e", "tidemill run"),
        ("dag rerun e", "tidemill rerun"),
        ("dag enable e", "tidemill dag resume"),
        ("settings", "tidemill cluster show"),
        ("config", "tidemill cluster show"),
        ("executors", "tidemill status"),
        ("executor", "tidemill status"),
        ("workers", "tidemill status"),
    ],
)
def test_another_word_for_a_command(said, line, meant):
    assert said(line).endswith(f"; did you mean `{meant}`?")


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        ("job put j --cron x", "there is no option --cron; did you mean --schedule?"),
        ("job put j --misfire-grace 5m", "use --set misfire_grace=VALUE"),
        ("runs --status failed", "did you mean --state?"),
        ("runs --dag etl", "did you mean --job?"),
        ("runs -o json", "did you mean --json?"),
        ("--json runs", "write options after the command"),
        ("run j --in 5m", "did you mean --at?"),
        ("logs j --watch", "did you mean --follow?"),
        ("runs nightly", "did you mean: tidemill runs --job nightly"),
        ("dag runs etl", "did you mean: tidemill dag runs --dag etl"),
        ("backfills nightly", "did you mean: tidemill backfills --job nightly"),
        ("sql select 1", "did you mean: tidemill sql --command 'select 1'"),
        ("next */5 * * * *", "put quotes around a schedule"),
        ("logs", "Missing argument 'RUN|NAME', as in: tidemill logs 'nightly#r1'"),
        ("backfill j", "Missing option '--from', as in: tidemill backfill nightly --from 2026-11-01"),
        ("runs --state fail", "'fail' is not one of 'queued', "),
        ("runs --state failed,dead", "Repeat the option for several values."),
        ("runs --limit 0", "it must be greater than or equal to 1"),
    ],
)
def test_another_form_of_an_option_or_an_argument(said, line, fragment):
    sentence = said(line)
    assert fragment in sentence
    assert "Value error" not in sentence


@pytest.mark.parametrize("line", ["-h", "run -h", "job put --help", "--version"])
def test_what_only_asks_is_answered(capsys, line):
    assert run(line.split()) == 0
    printed = capsys.readouterr()
    assert printed.out
    assert printed.err == ""


def test_next_takes_an_expression_in_the_place_of_a_name(capsys):
    assert run(["next", "0 3 * * *", "-n", "1", "--after", "2026-03-06", "--json"]) == 0
    assert '"nominal_time": "2026-03-06T03:00:00.000Z"' in capsys.readouterr().out
    assert run(["next", "@every 5x"]) == 2
    assert "write numbers with the units d h m s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "right"), [("daily", "@daily"), ("Hourly", "@hourly"), ("5m", "@every 5m"), ("90s", "@every 90s")]
)
def test_next_says_how_a_word_is_written_that_is_no_name_but_nearly_a_schedule(refused, name, right):
    assert refused("next", name, code=1).endswith(right)
    assert run(["next", right]) == 0


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("Buenos_Aires", "America/Buenos_Aires"),
        ("gmt", "GMT"),
    ],
)
def test_a_time_zone_without_its_continent_is_named_in_full(refused, name, meant):
    assert refused("next", "@daily", "--timezone", name).endswith(f'did you mean "{meant}"?')


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (("run", "j", "--payload", "foo"), """--payload 'foo' is not JSON: """),
        (("run", "j", "--payload", "foo"), """write a text as '"foo"'"""),
        (("rerun", "j#r", "--payload", "{"), "is not JSON"),
    ],
)
def test_a_payload_that_is_no_json_is_named(capsys, monkeypatch, tmp_path, arguments, fragment):
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    assert fragment in capsys.readouterr().err
