"""The grammars of schedules in SQL and in Python give the same answers and sentences."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.times import rfc3339
from streams.core.schedule.cron import At, InvalidScheduleError, parse
from streams.core.schedule.zone import known_names

HAND_MADE = """
@daily;@DAILY ;@daily x;@reboot;@;@every 90s;@every 1h30m;@every 1.5s;@every 1.0005s;@every 0s;@every 366d;@every
@every 366d1s;@every 999999999d;@every  5m ;@every 1m1h;@at 2026-11-21T03:00:00Z;@at 2026-02-29T03:00:00Z
@at 2024-02-29T03:00:00.5+14:59;@at 2024-02-29T03:00:00.5+15:00;@at 1970-01-01T00:00:00+01:00;@at 2200-01-01T00:00:00Z
@at 2199-12-31T23:59:59-14:00;@at 2199-12-31T23:59:59.999Z;@at 2199-12-31T22:59:59.999-01:00
@at 2200-01-01T00:00:00+01:00;@at 2199-12-31T23:00:00-01:00;@at 1970-01-01T00:59:59.999+01:00
@at 1970-01-01T01:00:00+01:00;@at 1969-12-31T23:00:00-01:00;@at 2026-00-01T00:00:00Z
@at 2026-04-31T00:00:00Z;@at 2026-11-21t03:00:00z;* * * * *;*/5 * * * * *;* * * * * * *
30 2 31 2 *;0 0 30 2 *;0 0 29 2 *;0 0 31 4 *;0 0 L 2 *;0 0 */31 * MON#1;0 0 */31 * MON#2;0 0 */31 * MON#5
0 0 */30 2 *;0 0 30 2 MON;0 0 * 2 MON#5;0 0 */29 2 MON#5;0 0 */10 11 1L;0 0 31 2 */2;1,,2 * * * *;, * * * *
1- * * * *;-1 * * * *;*/ * * * *;*/0 * * * *;*/61 * * * *;00005 * * * *;0005 * * * *;1-5/2,7 * * * *;5/2 * * * *
* * * jan-MAR/2 *;* * * * sun,7,0;* * * * fri-sun;* * * * 5-7;* * * * L;* * * * 5L;* * * * L5;* * * * 8L;* * * * #
* * * * 5#;* * * * #5;* * * * 5#2/2;* * * * 5#2,3;* * L-1 * *;* * LW * *;* * 1W * *;* * * W *;? * * * *;* * 1? * *
* * *,1 * MON;*-5 * * * *;**/2 * * * *;%s * * * *
CRON_TZ=Europe/Berlin 0 3 * * *;TZ=UTC 0 3 * * *;MAILTO=me;0 3 * * * Europe/Berlin;0 3 * * * UTC;* * * * * 2026 * 1
*/5 * * * * /usr/bin/foo -x;0 3 * * * root /usr/bin/foo;0 0 3 * * ? 2026;0 0 3 * * MON 2026 x;0 3 * * MON-FRI backup
every 5 minutes;every minute;5m;90 s;every 1 month;every hour;daily;Midnight;day;2026-11-21T03:00:00Z;2026-11-21 03:00
cron(0 3 * * ? *);rate(5 minutes);H 3 * * *;H/15 * * * *;H(0-29) * * * *;* * L-3 * *;* * * * FRIL;* * * * LL
* * * * FRI-SUN;* * * * fri-0;* * * * FRI-MON;* 22-2 * * *;* 22-2/2 * * *;* * * NOV-FEB *;59-1 * * * *;* * 28-3 * *
* * * * LFRI;* * * DEC-FEB *;* * * dec-2 *;* * * 11-JAN *;* * * 12-1 *;* * * * 6-5;* * * * 7-5;* * * * 7-SUN
* * * * SAT-SUN;* * * * 0007-MON;* * * * 6-0;* * * * fri-tue,1;59-0 * * * *;* * 31-1 * *;@REBOOT;@reboot x
"""
FIXED = ["", " ", *HAND_MADE.strip().replace("\n", ";").split(";")]


def one_of(words, separator=" "):
    return st.sampled_from(words.split(separator))


PIECES = (
    "0;1;5;7;12;23;24;29;30;31;32;59;60;99;*;/;-;,;#;L;W;?;.;@;%; ;  ;\t;\n;*/2;*/15;1-5;5-1;1,15;JAN;feb;MON;Fri;5L;"
    "L5;5#2;FRIL;H;TZ=UTC;UTC;Europe/Berlin;root;/bin/x;every ;minutes; 2026;22-2;"
    "fri-sun;@every ;@at ;@daily;90s;1h;30m;1.5s;Z;+01:00;T;2026-02-29;é;\\"
)
fields = one_of("* * * 0 5 */5 1-5 1,15 31 30 29 2 L MON 5#2 5L FEB 1-5/2 3/7 7 */30 */31 */32 MON#5 2-1")
written = st.lists(fields, min_size=4, max_size=7).map(" ".join)
garbled = st.tuples(written, st.integers(0, 30), one_of(PIECES, ";"), st.integers(0, 2)).map(
    lambda each: each[0][: each[1]] + each[2] + each[0][each[1] + each[3] :]
)
assembled = st.lists(one_of(PIECES, ";"), max_size=8).map("".join)
ends = st.tuples(
    one_of("@at 1970-01-01T;@at 1970-01-02T;@at 2199-12-31T;@at 2199-12-30T", ";"),
    st.times().map(lambda each: each.isoformat("milliseconds")),
    st.builds("{}{:02}:{:02}".format, one_of("+ -"), st.integers(0, 15), st.integers(0, 60)) | st.just("Z"),
).map("".join)
anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
long_ones = st.integers(495, 505).map(lambda length: ("0 0 * * " + "1," * 300)[:length])
batches = st.lists(st.one_of(written, garbled, assembled, ends, anything, long_ones), min_size=40, max_size=40)


def problem(text):
    try:
        parse(text)
    except InvalidScheduleError as error:
        return str(error)
    return None


def sql_problems(tables, texts):
    query = "select tidemill.check_schedule(text) from unnest(%s::text[]) with ordinality as t (text, n) order by n"
    return [row[0] for row in tables.execute(query, (texts,))]


def test_sql_and_python_agree_on_the_listed_schedules(tables):
    assert dict(zip(FIXED, sql_problems(tables, FIXED), strict=True)) == {text: problem(text) for text in FIXED}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(texts=batches)
def test_sql_and_python_agree_on_random_schedules(tables, texts):
    assert dict(zip(texts, sql_problems(tables, texts), strict=True)) == {text: problem(text) for text in texts}


NUMBERS = ["*", "*/1", "*/59", "*/60", "*/23", "*/24", *map(str, range(62)), "00", "07", "09", "*/0", "1-2", "L"]
PLACES = ["{} 0 1 1 *", "0 {} 1 1 *", "0 0 {} 1 *", "0 0 {} 2 *", "0 0 1 {} *", "0 0 1 1 {}", "0 0 {} 2 1"]


def test_a_schedule_on_the_fast_path_is_valid(tables):
    texts = [place.format(number) for place in PLACES for number in NUMBERS]
    query = "select text, tidemill.is_plain_cron(text) from unnest(%s::text[]) as text"
    plain = {text for text, is_plain in tables.execute(query, (texts,)) if is_plain}
    assert len(plain) > len(texts) / 4
    assert {text: problem(text) for text in plain} == dict.fromkeys(plain)


def test_white_space_is_stored_as_python_reads_it(tables):
    for text in ("\t 0  3\r\n* *\tMON ", "0 3 * * MON ", " 0 3 * * MON", "0 3 *  * MON", "0 3 *\t* MON", "0 3 * * MON"):
        stored = tables.execute("select tidemill.normal_white_space(%s)", (text,)).fetchone()[0]
        assert stored == "0 3 * * MON"


def test_no_schedule_is_no_problem(tables):
    assert sql_problems(tables, [None]) == [None]


def test_the_zones_of_the_table_are_known_to_python(tables):
    names = {row[0] for row in tables.execute("select name from tidemill.zones")}
    assert names <= known_names()
    assert {"UTC", "Europe/Berlin", "US/Pacific", "Australia/Lord_Howe", "Asia/Calcutta"} <= names


@pytest.mark.parametrize("text", ["2026-11-21T03:00:00.25+05:30", "2024-02-29T23:59:59-14:59"])
def test_sql_and_python_read_the_same_instant(tables, text):
    at = parse(f"@at {text}")
    assert isinstance(at, At)
    assert tables.execute("select tidemill.wire_instant(%s::timestamptz)", (text,)).fetchone()[0] == rfc3339(at.instant)
