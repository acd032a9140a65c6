"""The pages in a real browser: live, escaped, by keyboard, without JavaScript, on a phone, for screen readers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe

HOSTILE = "<img src=x onerror=alert(1)>"
HOSTILE_RUN = "/runs/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%23r"
RUN = "/runs/j%23r"
PATHS = (
    "/", "/runs", "/runs?state=dead&tenant=none", RUN, HOSTILE_RUN, "/runs/j%23failed", "/bulk/cancel?job=j",
    "/bulk/rerun?job=j", "/problems", "/nowhere", "/jobs", "/jobs/j", "/jobs/j/edit", "/jobs/j/backfill", "/dags",
    "/dags/d", "/fleet",
)  # fmt: skip
PHONE = {"width": 360, "height": 740}
LIVE_MS = 10_000
WRITTEN = """insert into tidemill.sink_offsets (topic, partition, topic_id, next_offset)
             values ('tidemill.status', 0, 't', 1)
             on conflict (topic, partition) do update set next_offset = sink_offsets.next_offset + 1"""
PROBLEM = """insert into tidemill.problems (at, partition, record_offset, topic_id, owner, kind, code, reason, record)
             values (now(), 1, 1, 't', 'j', 'alert', 'run_dead', %s, %s)"""


@pytest.fixture
def rows(database):
    """A job, a DAG, a run that runs, one that failed, and hostile names, output and payload."""
    now = database.all("select date_trunc('second', now()) as at")[0]["at"]
    database.connection.execute("set tidemill.sink = 'on'")
    for job in ("j", HOSTILE):
        database.job(job)
    database.connection.execute("update tidemill.jobs set payload = %s", [f'{{"name": "{HOSTILE}"}}'])
    database.connection.execute(
        "with dag as (insert into tidemill.dags (dag_id, schedule) values ('d', '@daily')) "
        "insert into tidemill.dag_nodes (dag_id, node_id, executable, depends_on) "
        "values ('d', 'a', 's3://bucket/key', '{}'), ('d', 'b', 's3://bucket/key', '{a}')"
    )
    database.run(state="running", due=now - timedelta(minutes=5))
    started = (now - timedelta(minutes=4)).isoformat()
    database.attempt(ended_as=None, exit_code=None, dispatched_at=started, started_at=started, finished_at=None)
    database.run("j#failed", "failed", due=now - timedelta(hours=1), reason="exit code 1")
    database.attempt("j#failed", output="what it said\n", output_bytes=13, reason="exit code 1")
    database.run(f"{HOSTILE}#r", "failed", due=now - timedelta(hours=2), reason=HOSTILE)
    database.attempt(f"{HOSTILE}#r", output=f"{HOSTILE}\x1b[31m", output_bytes=9, reason=HOSTILE, executor_id=HOSTILE)
    database.connection.execute(PROBLEM, [HOSTILE, HOSTILE])
    return database


@pytest.fixture
def opened(browser, site, rows):
    """A function that opens a page; at the end no script has failed and no dialog has opened."""
    contexts, said = [], []

    def heard(message):
        if message.type == "error" and "Failed to load resource" not in message.text:  # a page of an error
            said.append(message.text)

    def open_page(path, **options):
        context = browser.new_context(base_url=site.origin, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(f"a dialog: {dialog.message}"))
        page.on("console", heard)
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


@pytest.mark.parametrize("options", [{"color_scheme": "light"}, {"color_scheme": "dark", "viewport": PHONE}])
def test_axe_finds_nothing_on_any_page_and_none_is_too_wide(opened, options):
    page, found = opened("/", **options), {}
    for path in PATHS:
        page.goto(path)
        for each in Axe().run(page).response["violations"]:
            found[f"{path} {each['id']}"] = [node["html"][:160] for node in each["nodes"]][:4]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found[f"{path} width"] = page.evaluate("document.documentElement.scrollWidth")
    assert found == {}


def test_a_hostile_name_output_and_payload_stay_text(opened):
    page = opened("/")
    for path in (HOSTILE_RUN, "/runs", "/", "/problems", "/jobs", HOSTILE_RUN.replace("/runs", "/jobs")[:-4]):
        page.goto(path)
        assert HOSTILE in page.inner_text("body")
        assert page.query_selector("img[src=x]") is None


def test_every_page_reads_without_javascript(opened):
    page = opened("/", java_script_enabled=False)
    for path in PATHS:
        page.goto(path)
        assert page.inner_text("h1")
    page.goto("/runs/j%23failed")
    assert "what it said" in page.inner_text("pre.log")
    assert "Attempt 1 failed" in page.inner_text(".story")


def test_a_button_works_without_javascript(opened, rows):
    page = opened(RUN, java_script_enabled=False)
    page.click("summary:has-text('Cancel')")
    page.fill("details[open] input[name=note]", "by hand")
    page.click("button:has-text('Cancel the run')")
    assert "asked to stop" in page.inner_text(".done")
    assert rows.all("select note from tidemill.requests") == [{"note": "by hand"}]


def test_a_page_renews_itself_while_a_run_goes_on(opened, rows):
    page = opened(RUN)
    page.wait_for_selector("body[data-listens]")
    page.wait_for_timeout(1_500)  # the stream has its first look
    rows.connection.execute(
        "update tidemill.runs set state = 'succeeded', finished_at = now(), version = version + 1 where run_id = 'j#r'"
    )
    rows.connection.execute(WRITTEN)
    page.wait_for_selector("#run .lead:has-text('succeeded')", timeout=LIVE_MS)


def test_the_bar_of_a_running_process_grows(opened):
    page = opened(RUN)
    before = page.get_attribute("svg.timeline", "aria-label")
    page.wait_for_function(
        "before => document.querySelector('svg.timeline').getAttribute('aria-label') !== before",
        arg=before,
        timeout=LIVE_MS,
    )


def test_what_the_reader_has_opened_stays_open(opened, rows):
    page = opened(RUN)
    page.wait_for_selector("body[data-listens]")
    page.click("summary:has-text('Cancel')")
    page.fill("details[open] input[name=note]", "half a sent")
    page.evaluate("document.getElementById('run').dispatchEvent(new Event('refresh'))")
    with page.expect_response(lambda answer: "/runs/" in answer.url):
        page.evaluate("document.getElementById('run').dispatchEvent(new Event('refresh'))")
    assert page.input_value("details[open] input[name=note]") == "half a sent"


def test_updates_can_be_paused(opened, rows):
    paused, live = opened("/runs"), opened("/runs")
    for each in (paused, live):
        each.wait_for_selector("body[data-listens]")
    paused.click("#pause")
    assert paused.get_attribute("#pause", "aria-pressed") == "true"
    live.wait_for_timeout(1_500)  # the streams have their first look
    rows.run("j#new", "queued")
    rows.connection.execute(WRITTEN)
    live.wait_for_selector("text=#new", timeout=LIVE_MS)
    live.wait_for_timeout(1_500)  # the paused page has heard of it too
    assert paused.query_selector("text=#new") is None
    paused.click("#pause")
    paused.wait_for_selector("text=#new", timeout=LIVE_MS)


def test_the_keyboard_is_enough(opened):
    page = opened("/runs")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("/")
    page.keyboard.type("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs?job=j**")
    page = opened(RUN)
    page.focus("summary:has-text('Cancel')")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("by keys")
    page.keyboard.press("Enter")
    page.wait_for_selector(".done")


def test_the_browser_tells_the_readers_zone_once(opened):
    page = opened("/runs/j%23failed", timezone_id="Asia/Tokyo")
    page.wait_for_selector("footer input[name=timezone][value='Asia/Tokyo']")


def test_a_first_load_is_small(opened, site):
    sizes = {}
    page = opened("/nowhere")
    page.on("response", lambda answer: sizes.update({answer.url: len(answer.body())}))
    page.goto("/runs")
    page.wait_for_selector("body[data-listens]")
    assert sum(size for url, size in sizes.items() if "/events" not in url) <= 100_000


def test_a_tab_that_nobody_sees_keeps_no_connection(opened, rows):
    """A browser has six connections to a site: with six tabs, the seventh page would wait for ever."""
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
    tell = "document.dispatchEvent(new Event('visibilitychange'))"
    first = opened("/runs")
    tabs = [first, *(first.context.new_page() for _ in range(6))]
    for each in tabs:
        each.goto("/runs")
        each.wait_for_selector("body[data-listens]")
        each.evaluate(hide % "true" + tell)
    rows.run("j#new", "queued")
    first.evaluate(hide % "false" + tell)
    first.wait_for_selector("text=#new", timeout=LIVE_MS)
