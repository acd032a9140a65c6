"""A headless Chromium for the tests of web pages, driven by Playwright: the fixture `browser` of all tiers."""

from __future__ import annotations

import pytest

from infra import packages
from infra.settings import InfraSettings

OPTIONS = (
    "--no-sandbox",  # Chromium's sandbox does not work for root, and the pages are our own
    "--disable-dev-shm-usage",  # a container has 64 MB of /dev/shm
    "--disable-gpu",
)


@pytest.fixture(scope="module")
def browser():
    """A `playwright.sync_api.Browser`; `browser.new_page()` has no cookies of other pages. It starts in 0.6 s.

    It ends with the module, because Playwright's event loop runs in this thread until then: no test can run another.
    """
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - every test run imports this file

    program = packages.program("chromium", InfraSettings(), print)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS, headless=True)
        yield browser
        browser.close()
