"""The packages really come from their registries into an empty cache, and their programs run."""

from __future__ import annotations

import multiprocessing
import os
import platform
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from infra import packages
from infra.errors import StackError
from infra.settings import InfraSettings
from tests.support.browser import OPTIONS

BROUGHT = {"prometheus", "promtool", "chromium", "node", "npm"}
DOWNLOAD_SECONDS = 300
SYSTEM = ("/var/lib/apt/lists", "/var/cache/apt", "/var/cache/apt/archives", "/var/lib/dpkg")
"""What apt changes when it updates its lists or installs."""


@pytest.fixture
def cache(monkeypatch):
    """An empty cache that every user may enter, with a PATH that has all programs but those that are brought."""
    folder = Path(tempfile.mkdtemp(prefix="tidemill-packages-"))
    folder.chmod(0o777)
    path = folder / "bin"
    path.mkdir(mode=0o755)
    for each in os.environ["PATH"].split(os.pathsep):
        for program in Path(each).glob("*"):
            if program.name not in BROUGHT and not (path / program.name).is_symlink():
                (path / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(path))
    for name in ("PROMETHEUS", "PROMTOOL", "CHROMIUM"):
        monkeypatch.delenv(f"TIDEMILL_{name}", raising=False)
    yield folder
    shutil.rmtree(folder)


def bring(name, cache):
    return packages.program(name, InfraSettings(cache=cache), print)


def bring_without_root(name, cache):
    """Root becomes `nobody` in a process of its own; other users stay what they are."""

    def main():
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
        bring(name, cache)

    child = multiprocessing.get_context("fork").Process(target=main)
    child.start()
    child.join(DOWNLOAD_SECONDS)
    assert child.exitcode == 0


def is_refused(name, cache):
    """Elsewhere than on Debian, Ubuntu and x86-64 the refusal names the setting."""
    with pytest.raises(StackError, match=f"set TIDEMILL_{name.upper()} to the program's path"):
        bring(name, cache)


def version(program):
    return subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout


def system_state():
    return {each.path: each.stat().st_mtime_ns for folder in SYSTEM for each in os.scandir(folder)}


def test_prometheus_comes_without_root_and_leaves_the_system_as_it_is(cache):
    if shutil.which("apt-get") is None:
        is_refused("prometheus", cache)
        return
    before = system_state()
    bring_without_root("prometheus", cache)
    assert system_state() == before
    for name in ("prometheus", "promtool"):
        assert bring(name, cache) == str(cache / "packages/prometheus/usr/bin" / name)
        assert version(bring(name, cache)).startswith(f"{name}, version ")
    assert {each.name for each in (cache / "packages").iterdir()} == {"prometheus", ".prometheus.lock"}


def test_chromium_comes_on_a_machine_without_node_and_shows_a_page(cache):
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        is_refused("chromium", cache)
        return
    program = bring("chromium", cache)
    assert program.startswith(str(cache))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        page = browser.new_page()
        page.set_content("<title>seen</title>")
        assert page.title() == "seen"
        assert browser.version.partition(".")[0] in program
        browser.close()
