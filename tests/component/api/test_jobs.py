"""Jobs over HTTP: what is written is the row that SQL would write, and versions keep changes apart."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXECUTABLE = "s3://bucket/key"


def row(database, job_id):
    return database.execute("select * from tidemill.jobs where job_id = %s", (job_id,)).fetchone()


def test_a_job_is_created_read_replaced_and_deleted(api, database):
    made = api.create("a", schedule="0 3 * * *", timeout="PT90S", env={"A": "1"}, args=["x"])
    assert made.status == 201
    assert made.json["timeout"] == "PT90S"
    assert row(database, "a")["schedule"] == "0 3 * * *"
    read = api("GET", "/jobs/a")
    assert (read.status, read.etag) == (200, made.etag)
    replaced = api("PUT", "/jobs/a", {"executable": EXECUTABLE, "max_attempts": 3}, If_Match=read.etag)
    assert replaced.status == 200
    assert (replaced.json["schedule"], replaced.json["timeout"], replaced.json["max_attempts"]) == (None, None, 3)
    assert api("DELETE", "/jobs/a", If_Match=replaced.etag).status == 204
    assert api("GET", "/jobs/a").status == 404
    assert row(database, "a") is None


def test_what_was_read_can_be_put_back_and_changes_nothing(api):
    made = api.create(
        "same", schedule="@daily", payload={"n": [1.5, 2]}, unveil=[], cpu=0.5, starts_at="2027-01-01T00:00:00Z"
    )
    again = api("PUT", "/jobs/same", made.json, If_Match=made.etag)
    assert again.status == 200
    assert again.etag == made.etag
    assert again.json == made.json


def test_the_payload_arrives_as_it_was_written(api, database):
    body = f'{{"executable": "{EXECUTABLE}", "payload": {{"b": 1.50, "a": 12345678901234567890123}}}}'
    assert api("PUT", "/jobs/exact", body, If_None_Match="*").status == 201
    found = database.execute("select payload::text as payload from tidemill.jobs where job_id = 'exact'").fetchone()
    assert found["payload"] == '{"b": 1.50, "a": 12345678901234567890123}'


def test_a_put_must_say_what_it_replaces(api):
    assert api("PUT", "/jobs/pre", {"executable": EXECUTABLE}).status == 428
    assert api("PUT", "/jobs/pre", {"executable": EXECUTABLE}, If_Match='"1"').status == 412
    made = api.create("pre")
    again = api.create("pre")
    assert again.status == 412
    assert again.json["version"] == made.json["version"]
    old = api("PUT", "/jobs/pre", {"executable": EXECUTABLE, "max_attempts": 2}, If_Match=made.etag)
    assert old.status == 200
    late = api("PUT", "/jobs/pre", {"executable": EXECUTABLE}, If_Match=made.etag)
    assert late.status == 412
    assert late.json["version"] == old.json["version"]
    assert api("PUT", "/jobs/pre", {"executable": EXECUTABLE}, If_Match="1").status == 400


def test_a_patch_changes_only_what_it_names_and_merges_objects(api):
    made = api.create("p", env={"A": "1", "B": "2"}, schedule="@daily", max_attempts=4)
    patched = api("PATCH", "/jobs/p", {"env": {"A": None, "C": "3"}, "schedule": None, "max_attempts": None})
    assert patched.status == 200
    assert patched.json["env"] == {"B": "2", "C": "3"}
    assert (patched.json["schedule"], patched.json["max_attempts"]) == (None, 1)
    assert api("PATCH", "/jobs/p", {"paused": True}, If_Match=made.etag).status == 412
    nothing = api("PATCH", "/jobs/p", {})
    assert (nothing.status, nothing.etag) == (200, patched.etag)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/jobs/deep", '{"payload": %s}'),
        ("PUT", "/dags/deep", '{"nodes": {"a": {"executable": "s3://bucket/key", "payload": %s}}}'),
    ],
)
def test_a_body_that_is_nested_too_deep_is_refused(api, method, path, body):
    if method == "PATCH":
        api.create("deep")
    headers = {} if method == "PATCH" else {"If_None_Match": "*"}
    refused = api(method, path, body % ("[" * 300 + "]" * 300), **headers)
    assert refused.status == 422
    assert "nested more than 200 levels deep" in refused.json["detail"]


@pytest.mark.parametrize(
    ("columns", "pointer", "sentence"),
    [
        ({"schedule": "0 25 * * *"}, "/schedule", 'hour "25" is out of range'),
        ({"timezone": "Nowhere"}, "/timezone", "Nowhere"),
        ({"timeout": "90s"}, "/timeout", "timeout: "),
        ({"max_attempts": "3"}, "/max_attempts", "Expected `int`"),
        ({"max_attempts": 0}, "/max_attempts", "max_attempts"),
        ({"overlap_policy": "never"}, "/overlap_policy", "Invalid enum value"),
        ({"colour": "red"}, "", "unknown field `colour`"),
        ({"env": {"A": 1}}, "/env", "Expected `str`"),
        ({"job_id": "other"}, "/job_id", "the path names"),
        ({"executable": "/bin/true"}, "/executable", "executable is"),
    ],
)
def test_a_value_that_is_refused_is_named_with_the_sentence(api, columns, pointer, sentence):
    refused = api.create("refused", **columns)
    assert refused.status == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert sentence in refused.json["detail"]
    assert refused.json["errors"][0]["pointer"] == pointer
    assert refused.json["instance"] == "/v1/jobs/refused"
    assert api("GET", "/jobs/refused").status == 404


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ("{", {}, 400),
        ('{"executable": "\udcff"}'.encode("utf-8", "surrogateescape"), {}, 400),
        ("[1]", {}, 422),
        ("{}", {"Content_Type": "text/plain"}, 415),
        (b" " * (4 * 1024**2 + 1), {}, 413),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(api, body, headers, status):
    refused = api("PUT", "/jobs/x", body, If_None_Match="*", **headers)
    assert refused.status == status, refused.json
    assert refused.json["status"] == status


def test_jobs_are_listed_page_by_page(api):
    for number in range(5):
        api.create(f"list-{number}", tenant="lister")
    first = api("GET", "/jobs?tenant=lister&limit=2").json
    second = api("GET", f"/jobs?tenant=lister&limit=2&cursor={first['next']}").json
    third = api("GET", f"/jobs?tenant=lister&limit=2&cursor={second['next']}").json
    names = [each["job_id"] for page in (first, second, third) for each in page["items"]]
    assert names == [f"list-{number}" for number in range(5)]
    assert third["next"] is None
    assert [each["job_id"] for each in api("GET", "/jobs?q=LIST-3").json["items"]] == ["list-3"]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("color=red", "there is no query parameter 'color'; this path takes tenant, q, cursor, limit"),
    ],
)
def test_a_query_that_is_not_known_is_refused(api, query, sentence):
    refused = api("GET", f"/jobs?{query}")
    assert refused.status == 400
    assert sentence in refused.json["detail"]


def test_the_next_times_of_a_job_and_of_a_schedule_that_is_not_stored(api):
    api.create("due", schedule="0 3 * * *", timezone="Europe/Berlin")
    said = api("GET", "/jobs/due/next?n=2&after=2026-10-24T12:00:00Z").json
    assert [each["nominal_time"] for each in said["items"]] == ["2026-10-25T02:00:00.000Z", "2026-10-26T02:00:00.000Z"]
    body = {"schedule": "0 3 * * *", "timezone": "Europe/Berlin", "after": "2026-10-24T12:00:00Z", "n": 2}
    assert api("POST", "/next", body).json["items"] == said["items"]
    assert api("POST", "/next", {"schedule": "0 25 * * *"}).status == 422
    api.create("never")
    assert api("GET", "/jobs/never/next").status == 404


def test_each_version_says_what_it_changed(api):
    made = api.create("v", schedule="@daily")
    changed = api("PATCH", "/jobs/v", {"schedule": "@hourly"})
    said = api("GET", "/jobs/v/versions").json["items"]
    assert [each["number"] for each in said] == [changed.json["version"], made.json["version"]]
    assert said[0]["changes"] == [{"name": "schedule", "before": "@daily", "after": "@hourly"}]
    one = api("GET", f"/jobs/v/versions/{made.json['version']}").json
    assert one["spec"]["schedule"] == "@daily"
    assert api("GET", "/jobs/v/versions/1000000").status == 404
    assert api("GET", "/jobs/v/versions/x").status == 404


def test_why_a_job_has_not_run_is_told(api):
    api.create("told", schedule="@yearly")
    said = api("GET", "/jobs/told/explain")
    assert said.status == 200
    assert all(each["sentence"] for each in said.json["items"])
    assert api("GET", "/jobs/no-such/explain").status == 404


COLUMNS = st.fixed_dictionaries(
    {"executable": st.just(EXECUTABLE)},
    optional={
        "schedule": st.sampled_from(["@daily", "*/5 * * * *", "@every 90s", None]),
        "timezone": st.sampled_from(["UTC", "Asia/Tokyo"]),
        "args": st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5), max_size=3),
        "env": st.dictionaries(st.from_regex(r"[A-S][A-Z_]{0,5}", fullmatch=True), st.just("v"), max_size=3),
        "payload": st.recursive(
            st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text("aä'\"\\", max_size=4),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
            max_leaves=6,
        ),
        "timeout": st.sampled_from(["PT1S", "PT90S", "P1DT2H", None]),
        "max_attempts": st.integers(1, 100),
        "retry_jitter": st.floats(0, 1),
        "overlap_policy": st.sampled_from(["skip", "buffer_all", "allow_all"]),
        "unveil": st.lists(st.sampled_from(["r:/srv/a", "rw:/srv/b"]), unique=True),
        "memory": st.none() | st.integers(2**24, 2**40),
    },
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(COLUMNS)
def test_a_write_of_the_api_is_the_row_that_sql_writes(api, database, columns):
    database.execute("delete from tidemill.jobs where job_id in ('by-api', 'by-sql')")
    made = api("PUT", "/jobs/by-api", columns, If_None_Match="*")
    assert made.status == 201, made.json
    names = ", ".join(columns)
    database.execute(
        f"insert into tidemill.jobs (job_id, {names}) "
        f"select 'by-sql', {names} from json_populate_record(null::tidemill.jobs, %s)",
        (json.dumps(columns),),
    )
    by_api, by_sql = row(database, "by-api"), row(database, "by-sql")
    for found in (by_api, by_sql):
        for name in ("job_id", "version", "updated_at"):
            del found[name]
    assert by_api == by_sql
