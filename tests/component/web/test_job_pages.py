"""The pages of jobs: what they show, the rows that their buttons write, and the form with the database's own words."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest

from tidemill.target import wall_clock

HOSTILE = "<img src=x onerror=alert(1)>"
NOW = wall_clock().replace(microsecond=0)


def form(site, path, **changes):
    """The values that the form of a page would send, with changes."""
    page = site.get(path)
    assert page.status == 200
    return page.fields() | changes


def test_the_list_shows_each_job_with_its_last_runs_and_its_next_time(site, database):
    database.job("often")
    database.job("never")
    database.run("often@2026-11-21T02:00:00Z", "succeeded")
    page = site.get("/jobs")
    assert page.status == 200
    for each in ("often", "never", "The last 1 runs: 1 succeeded", "no run yet", "@daily"):
        assert each in page.text
    assert "never" not in site.get("/jobs?search=OFT").text


def test_a_list_of_many_jobs_has_pages(site, database):
    for number in range(51):
        database.job(f"job-{number:02}")
    first = site.get("/jobs")
    assert "job-49" in first.text
    assert "job-50" not in first.text
    assert 'href="/jobs?after=job-49"' in first.text
    assert "job-50" in site.get("/jobs?after=job-49").text


def test_a_job_shows_its_next_times_its_days_its_durations_and_its_versions(site, database):
    database.job("j")
    database.connection.execute("update tidemill.jobs set timeout = '8 min' where job_id = 'j'")
    for back in (1, 2, 3):
        due = NOW - timedelta(days=back)
        database.run(f"j@{due:%Y-%m-%dT%H:%M:%SZ}", "failed" if back == 2 else "succeeded", due=due)
    page = site.get("/jobs/j")
    assert page.status == 200
    for each in ("Next times", "1 failed", "1 succeeded", "planned", "half took at most 3 s", "PT480S"):
        assert each in page.text


def test_names_and_values_are_escaped(site, database):
    database.job(HOSTILE)
    database.connection.execute(
        "update tidemill.jobs set paused = true, paused_note = %s, args = %s where job_id = %s",
        [HOSTILE, f'["{HOSTILE}"]', HOSTILE],
    )
    for path in ("/jobs", "/jobs/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E"):
        page = site.get(path)
        assert page.status == 200
        assert "<img src=x" not in page.text
        assert "&lt;img src=x" in page.text


def test_a_job_that_does_not_exist_is_not_found(site, database):
    assert site.get("/jobs/none").status == 404
    assert site.get("/jobs/none/edit").status == 404


def test_the_buttons_request_a_run_and_pause_and_resume(site, database):
    database.job("j")
    answer = site.post("/jobs/j/run", {"payload": '{"a": 1}'})
    assert answer.status == 303
    (request,) = database.all("select request_id, job_id, payload::text from tidemill.requests")
    assert (request["job_id"], request["payload"]) == ("j", '{"a": 1}')
    assert request["request_id"] in answer.headers["location"]
    site.post("/jobs/j/pause", {"note": "why"})
    assert database.all("select paused, paused_note from tidemill.jobs") == [{"paused": True, "paused_note": "why"}]
    assert "Nothing new becomes due. why" in site.get("/jobs/j").text
    site.post("/jobs/j/resume", {"catchup": "latest"})
    assert database.all("select paused from tidemill.jobs") == [{"paused": False}]


def test_a_payload_that_is_no_json_is_refused(site, database):
    database.job("j")
    assert site.post("/jobs/j/run", {"payload": "{"}).status == 422
    assert database.all("select from tidemill.requests") == []


def test_a_backfill_is_shown_before_it_is_requested(site, database):
    database.job("j")
    page = site.get("/jobs/j/backfill?from=3d&max_active=2")
    assert page.status == 200
    assert "3 of 3 occurrences would run" in page.text
    assert database.all("select from tidemill.requests") == []
    assert site.post("/jobs/j/backfill", {"from": "3d", "max_active": "2"}).status == 303
    (request,) = database.all("select kind, owner, max_active_runs from tidemill.requests")
    assert request == {"kind": "backfill", "owner": "j", "max_active_runs": 2}
    assert site.get("/jobs/j/backfill?from=nonsense").status == 422


def test_the_form_says_when_the_job_would_be_due_and_writes_nothing(site, database):
    database.job("j")
    before = database.all("select version from tidemill.jobs")
    answer = site.post("/jobs/j/check", form(site, "/jobs/j/edit", schedule="30 2 * * *", timezone="Europe/Berlin"))
    assert answer.status == 200
    assert "The database accepts it. Changed: schedule, timezone." in answer.text
    assert answer.text.count("02:30:00") == 10
    assert database.all("select version from tidemill.jobs") == before


def test_the_form_shows_the_refusal_of_the_database(site, database):
    database.job("j")
    answer = site.post("/jobs/j/check", form(site, "/jobs/j/edit", schedule="61 * * * *"))
    assert "schedule" in answer.text
    assert "61" in answer.text
    assert "accepts it" not in answer.text
    wrong_type = site.post("/jobs/j/check", form(site, "/jobs/j/edit", timeout="soon"))
    assert "timeout: invalid input syntax for type interval" in wrong_type.text
    assert site.post("/jobs/j/edit", form(site, "/jobs/j/edit", schedule="61 * * * *")).status == 422


def test_the_form_writes_only_what_was_changed(site, database):
    database.job("j")
    database.connection.execute("update tidemill.jobs set payload = '{\"a\":  1.0}', timeout = '90 s'")
    before = database.all("select * from tidemill.jobs")[0]
    answer = site.post("/jobs/j/edit", form(site, "/jobs/j/edit", max_attempts="3"))
    assert (answer.status, answer.headers["location"]) == (303, "/jobs/j?asked=edit")
    (after,) = database.all("select * from tidemill.jobs")
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"max_attempts", "version", "updated_at"}
    assert database.all("select payload::text from tidemill.jobs") == [{"payload": '{"a":  1.0}'}]


def test_what_a_job_may_use_is_set_in_the_form_and_shown_in_units_for_people(site, database):
    database.job("j")
    asked = {"sandbox": "strict", "memory": "512MB", "network": "none", "unveil": "{r:/srv/www}"}
    assert site.post("/jobs/j/edit", form(site, "/jobs/j/edit", **asked)).status == 303
    (row,) = database.all("select sandbox, memory, network, unveil from tidemill.jobs")
    assert row == {"sandbox": "strict", "memory": 512 << 20, "network": "none", "unveil": ["r:/srv/www"]}
    assert "sandbox strict, network none, memory 512 MB, unveil r:/srv/www" in site.get("/jobs/j").text
    much = site.post("/jobs/j/check", form(site, "/jobs/j/edit", memory="much"))
    assert "write a size such as 512MB or 2GB, or bytes" in much.text
    none = site.post("/jobs/j/check", form(site, "/jobs/j/edit", memory="1kB"))
    assert "allowed are bytes from 1048576 (1 MB)" in none.text


def test_a_form_that_is_older_than_the_job_is_refused(site, database):
    database.job("j")
    old = form(site, "/jobs/j/edit", max_attempts="3")
    database.connection.execute("update tidemill.jobs set tenant = 'other'")
    answer = site.post("/jobs/j/edit", old)
    assert answer.status == 422
    assert "somebody has changed it meanwhile" in answer.text
    assert database.all("select max_attempts from tidemill.jobs") == [{"max_attempts": 1}]


def test_a_job_that_somebody_else_is_changing_holds_up_no_other(site, database, tables_dsn):
    """Two forms that wait for its row hold both connections for changes, and only for a second."""
    database.job("j")
    database.job("k")
    fields = site.get("/jobs/j/edit").fields() | {"schedule": "@hourly"}
    with psycopg.connect(tables_dsn) as other, ThreadPoolExecutor() as pool:
        other.execute("update tidemill.jobs set schedule = '@weekly' where job_id = 'j'")
        checks = [pool.submit(site.post, "/jobs/j/check", fields) for _ in range(2)]
        assert site.post("/jobs/k/pause").status == 303
        assert all("Somebody else is changing it now" in each.result().text for each in checks)
        saved = site.post("/jobs/j/edit", fields)
        assert (saved.status, "Somebody else is changing it now" in saved.text) == (409, True)


def test_the_form_changes_no_value_that_the_reader_left_alone(site, database):
    """A browser sends other line breaks than the value has, and this page drops the space around it."""
    database.job()
    database.connection.execute("""update tidemill.jobs set payload = E' {"a":\r\n 1}\n'""")
    assert "Nothing is changed yet" in site.post("/jobs/j/check", site.get("/jobs/j/edit").fields()).text


@pytest.mark.parametrize(
    "path",
    [
        f"/jobs/j?versions_before={'9' * 5000}",
        f"/runs?asked=cancel&count={'9' * 5000}",
        f"/jobs/j/backfill?from=7d&max_active={'9' * 5000}",
        "/jobs/j/backfill?from=7d&reprocess=x",
    ],
)
def test_a_number_or_a_word_that_cannot_be_is_no_bug_of_the_page(site, database, path):
    database.job()
    assert site.get(path).status in {200, 422}
