"""Who may read and who may write, and what a page may do in the browser."""

from __future__ import annotations

import pytest

from tests.support.web_site import running_site

TOKEN = "a-token-of-this-test"


def test_every_answer_limits_what_the_page_may_do(site):
    for path in ("/runs", "/nowhere", "/static/style.css"):
        headers = site.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert headers["x-content-type-options"] == "nosniff"


def test_a_name_of_another_site_is_refused(site):
    """A page of evil.example cannot read ours by pointing its name at 127.0.0.1."""
    assert site.get("/runs", Host="evil.example").status == 421
    assert site.get("/runs", Host=f"localhost:{site.port}").status == 200


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)
def test_a_form_of_another_site_writes_nothing(site, database, headers):
    database.job()
    database.run(state="running")
    assert site.post("/runs/j%23r/cancel", **headers).status == 403
    assert database.all("select * from tidemill.requests") == []


def test_with_a_token_a_browser_logs_in_once(target, tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    with running_site(target, web_token_file=file) as site:
        assert site.get("/runs").status == 401
        assert site.get("/runs", Accept="text/html").headers["location"] == "/login"
        assert site.post("/login", {"token": "wrong"}).status == 403
        entered = site.post("/login", {"token": TOKEN})
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert TOKEN not in cookie
        assert site.get("/runs", Cookie=cookie.partition(";")[0]).status == 200
        assert site.get("/runs", Authorization=f"Bearer {TOKEN}").status == 200
        assert site.get("/events").status == 401


def test_behind_a_proxy_a_request_without_its_user_is_refused(target):
    with running_site(target, web_proxy_header="X-Forwarded-User") as site:
        assert site.get("/runs").status == 401
        assert site.get("/runs", X_Forwarded_User="ada").status == 200


def test_a_bug_is_a_page_without_its_details(site, monkeypatch):
    monkeypatch.setattr("tidemill.web.pages.runs.count", lambda *_: 1 // 0)
    page = site.get("/runs")
    assert page.status == 500
    assert "the log of this process has the reason" in page.text.lower()
    assert "ZeroDivision" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
