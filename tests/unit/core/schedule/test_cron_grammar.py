"""The grammar of schedules: accepted forms, their meaning, and the sentences of refusals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from streams.core.schedule.cron import LAST_DAY, LAST_WEEKDAY, At, Cron, Every, InvalidScheduleError, parse

REFUSED = {
    "": "must not be empty",
    " \t ": "must not be empty",
    "* * * *": "five fields",
    "* * * * * * * *": "seconds first; this one has 8",
    "0 0 3 * * ? 2026": "there is no field for the year; use the columns starts_at",
    "CRON_TZ=Europe/Berlin 0 3 * * *": "set the zone in the column timezone",
    "TZ=UTC 0 3 * * *": "set the zone in the column timezone",
    "MAILTO=me@example.org": "set variables in the column env",
    "0 3 * * * Europe/Berlin": '"Europe/Berlin" comes after the fields: set the zone in the column timezone',
    "*/5 * * * * /usr/bin/foo -x": '"/usr/bin/foo" comes after the fields: a schedule has neither a user nor a',
    "0 3 * * * root /usr/bin/foo": '"root" comes after the fields',
    "every 5 minutes": "write an interval as @every 5m",
    "every hour": "write an interval as @every 1h",
    "90s": "write an interval as @every 90s",
    "daily": "write it with an @: @daily",
    "2026-11-21 03:00": "write one instant as @at",
    "cron(0 3 * * ? *)": "without cron( )",
    "rate(5 minutes)": "an interval as @every 5m",
    "H/15 * * * *": "there is no H; use the column jitter to spread",
    "* * L-3 * *": "only L itself",
    "* * * * L": "write L with its day, such as 5L",
    "60 * * * *": 'minute "60" is out of range: write a number from 0 to 59',
    "* 24 * * *": 'hour "24" is out of range',
    "* * 0 * *": 'day-of-month "0" is out of range',
    "* * * 13 *": "a number from 1 to 12 or a name JAN to DEC",
    "* * * * 8": "a number from 0 to 7 or a name SUN to SAT",
    "60 * * * * *": 'second "60" is out of range',
    "-1 * * * *": "not understood",
    "*/0 * * * *": "a number from 1 to 60",
    "*/90 * * * *": "a number from 1 to 60",
    "*/ * * * *": "no valid step",
    "1/2/3 * * * *": "no valid step",
    "* 22-2 * * *": "runs backwards: write 22-23,0-2",
    "* 22-2/2 * * *": "runs backwards: the smaller value of a range comes first",
    "* * * NOV-FEB *": "runs backwards: write NOV-DEC,JAN-FEB",
    "* * * DEC-FEB *": 'month "DEC-FEB" runs backwards: write DEC,JAN-FEB',
    "* * * DEC-2 *": "runs backwards: write DEC,1-2",
    "* * * 11-JAN *": "runs backwards: write 11-12,JAN",
    "* * * * FRI-MON": "runs backwards: write FRI-SAT,SUN-MON",
    "* * * * FRI-SUN": 'day-of-week "FRI-SUN" runs backwards, because SUN is 0: write FRI-SAT,SUN',
    "* * * * 6-5": 'day-of-week "6-5" runs backwards: write 6,0-5',
    "* * * * 7-5": "runs backwards: write 0-5",
    "* * * * 7-SUN": "runs backwards, because SUN is 0: write SUN",
    "1,,2 * * * *": "empty item",
    "* * 15W * *": "no W",
    "* * LW * *": "no W",
    "* * ? * *": "write * for ?",
    "* * * MON *": 'month "MON" is not understood',
    "* L * * *": "not understood",
    "* * L/2 * *": "not understood",
    "* * * * MON#6": "a number from 1 to 5",
    "* * * * MON#": "a number from 1 to 5",
    "* * * * 1-5#2": "not understood",
    "* * * * FRIL": "write 5L for the last FRI of the month",
    "30 2 31 2 *": "never fires",
    "0 0 30 2 *": "never fires",
    "0 0 31 4,6,9,11 *": "never fires",
    "0 0 */31 * MON#2": "never fires",
    "\uff10 * * * *": "ASCII",
    "0\x00 * * * *": "ASCII",
    "0 " * 300: "at most 500 characters",
    "@reboot": '"@reboot" is not known: no schedule follows the start of a machine; set the schedule to null, ',
    "@daily 5": "takes nothing after it",
    "@every": "takes one word",
    "@every 1h 30m": "takes one word",
    "@every 90": "not understood",
    "@every 1m1h": "not understood",
    "@every 1.5h": "not understood",
    "@every 1.0005s": "not understood",
    "@every 0s": "out of range",
    "@every 0.999s": "out of range",
    "@every 367d": "out of range",
    "@every -5s": "not understood",
    "@at 2026-11-21T03:00:00": "with its offset",
    "@at 2026-11-21 03:00:00Z": "takes one word",
    "@at 2026-02-30T03:00:00Z": "not understood",
    "@at 2026-11-21T24:00:00Z": "not understood",
    "@at 2026-11-21T03:00:60Z": "not understood",
    "@at 2026-11-21T03:00:00.0001Z": "at most milliseconds",
    "@at 2026-11-21T03:00:00+25:00": "not understood",
    "@at 2200-01-01T00:00:00Z": "from 1970 to 2199",
    "@at 2199-12-31T23:59:59-14:00": "out of range: from 1970-01-01T00:00:00Z to 2199-12-31T23:59:59.999Z",
    "@at 1970-01-01T00:00:00+01:00": "out of range",
}


@pytest.mark.parametrize(("text", "fragment"), REFUSED.items())
def test_an_invalid_schedule_is_refused_with_a_sentence(text, fragment):
    with pytest.raises(InvalidScheduleError) as refused:
        parse(text)
    assert fragment in str(refused.value)


DAYS = {
    "* * * * *": {"either_day": False, "real_time": True},
    "0 3 1 * MON": {"either_day": True, "real_time": False, "days": (1,), "weekdays": (1,)},
    "0 3 */2 * MON": {"either_day": False, "real_time": False},
    "0 3 1 * */2": {"either_day": False, "weekdays": (0, 2, 4, 6)},
    "*/5 3 * * *": {"real_time": True},
    "0 3 L * *": {"days": (LAST_DAY,)},
    "0 3 1,L * *": {"days": (1, LAST_DAY)},
    "0 3 * * 7": {"weekdays": (0,)},
    "0 3 * * 5-7": {"weekdays": (0, 5, 6)},
    "0 3 * * mon-fri": {"weekdays": (1, 2, 3, 4, 5)},
    "0 3 * * 5L": {"weekdays": (LAST_WEEKDAY + 5,)},
    "0 3 * * L5": {"weekdays": (LAST_WEEKDAY + 5,)},
    "0 3 * * 7L": {"weekdays": (LAST_WEEKDAY,)},
    "0 3 * * tue#2,5#5": {"weekdays": (22, 55)},
    "0 3 * * 7#1": {"weekdays": (10,)},
    "0 3 * jan-mar/2,Dec *": {"months": (1, 3, 12)},
    "10/20 * * * *": {"minutes": (10, 30, 50)},
    "*/60 */24 * * *": {"minutes": (0,), "hours": (0,)},
    "15 30 3 * * *": {"seconds": (15,), "minutes": (30,), "hours": (3,)},
}


@pytest.mark.parametrize(("text", "values"), DAYS.items())
def test_fields_have_the_meaning_of_cron(text, values):
    cron = parse(text)
    assert isinstance(cron, Cron)
    assert {name: getattr(cron, name) for name in values} == values


def test_white_space_does_not_matter():
    assert parse("  0\t3  * * \n mon ") == parse("0 3 * * MON")


def test_nicknames_are_the_schedules_that_they_stand_for():
    assert parse("@daily") == parse("@MIDNIGHT") == parse("0 0 * * *")
    assert parse("@hourly") == parse("0 * * * *")
    assert parse("@weekly") == parse("0 0 * * 0")
    assert parse("@monthly") == parse("0 0 1 * *")
    assert parse("@yearly") == parse("@annually") == parse("0 0 1 1 *")


def test_an_interval_is_the_sum_of_its_units():
    assert parse("@every 90s") == Every(interval=timedelta(seconds=90))
    assert parse("@every 1d2h3m4.05s") == Every(
        interval=timedelta(days=1, hours=2, minutes=3, seconds=4, milliseconds=50)
    )


def test_an_instant_is_stored_in_utc():
    assert parse("@at 2026-11-21T03:00:00.5+05:30") == At(
        instant=datetime(2026, 11, 20, 21, 30, 0, 500_000, tzinfo=UTC)
    )


def test_a_schedule_that_fires_once_in_28_years_is_accepted():
    assert isinstance(parse("0 0 29 2 */7"), Cron)


@pytest.mark.parametrize(
    ("text", "advice", "right"),
    [
        ("* 22-2 * * *", "22-23,0-2", "* 22-23,0-2 * * *"),
        ("* * * NOV-FEB *", "NOV-DEC,JAN-FEB", "* * * NOV-DEC,JAN-FEB *"),
        ("* * * DEC-FEB *", "DEC,JAN-FEB", "* * * DEC,JAN-FEB *"),
        ("* * * * FRI-MON", "FRI-SAT,SUN-MON", "* * * * FRI-SAT,SUN-MON"),
        ("* * * * FRI-SUN", "FRI-SAT,SUN", "* * * * FRI-SAT,SUN"),
        ("* * * * 6-5", "6,0-5", "* * * * 6,0-5"),
        ("* * * * FRIL", "5L", "* * * * 5L"),
        ("every 5 minutes", "@every 5m", "@every 5m"),
        ("hour", "@every 1h", "@every 1h"),
        ("daily", "@daily", "@daily"),
    ],
)
def test_the_suggestion_of_a_refusal_is_valid(text, advice, right):
    with pytest.raises(InvalidScheduleError) as refused:
        parse(text)
    assert advice in str(refused.value)
    parse(right)
