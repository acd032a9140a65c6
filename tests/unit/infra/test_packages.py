"""A program comes from its setting, from PATH or from the cache, in this order; else a sentence says what to do."""

from __future__ import annotations

import pytest

from infra import command, debian, packages
from infra.errors import StackError
from infra.settings import InfraSettings


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A folder that alone is on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program_in(folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def in_cache(cache):
    return program_in(cache / "packages/prometheus/usr/bin", "promtool")


def find(name, said=None, **settings):
    return packages.program(name, InfraSettings(**settings), [].append if said is None else said.append)


def test_the_setting_comes_before_path(nowhere, tmp_path):
    program_in(nowhere, "promtool")
    chosen = program_in(tmp_path / "own", "any-name")
    assert find("promtool", promtool=chosen) == str(chosen)


def test_path_comes_before_the_cache(nowhere, tmp_path):
    in_cache(tmp_path)
    on_path = program_in(nowhere, "promtool")
    assert find("promtool", cache=tmp_path) == str(on_path)


def test_what_the_cache_holds_is_found_without_a_word(nowhere, tmp_path):
    kept, said = in_cache(tmp_path), []
    assert find("promtool", said, cache=tmp_path) == str(kept)
    assert said == []


@pytest.mark.parametrize("name", ["missing", "a-file", "."])
def test_a_setting_that_names_no_program_is_refused(tmp_path, name):
    (tmp_path / "a-file").touch(mode=0o644)
    with pytest.raises(StackError, match=r"^TIDEMILL_CHROMIUM is .*, which is not a program\.$"):
        find("chromium", chromium=tmp_path / name)


def test_without_apt_the_setting_is_named(nowhere, tmp_path):
    with pytest.raises(StackError) as refusal:
        find("prometheus", cache=tmp_path)
    assert str(refusal.value) == (
        "prometheus is not on PATH, and could not be brought: this machine has no apt-get and dpkg-deb. Install it, or"
        " set TIDEMILL_PROMETHEUS to the program's path."
    )
    assert [each.name for each in (tmp_path / "packages").iterdir()] == [".prometheus.lock"]


def test_elsewhere_than_on_linux_on_x86_the_setting_of_chromium_is_named(nowhere, tmp_path, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    with pytest.raises(StackError, match=r"runs only on Linux on x86-64\. Install it, or set TIDEMILL_CHROMIUM to"):
        find("chromium", cache=tmp_path)


def test_a_cache_that_is_no_folder_is_named(nowhere, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match=r"file/packages cannot be written \(Not a directory\); TIDEMILL_CACHE names"):
        find("prometheus", cache=tmp_path / "file")


def test_what_a_killed_process_left_is_replaced(nowhere, tmp_path):
    left = tmp_path / "packages/.prometheus.partial/lists"
    left.mkdir(parents=True)
    with pytest.raises(StackError):
        find("prometheus", cache=tmp_path)
    assert not left.exists()


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("Reading lists...\nE: Unable to locate package x\nE: another", "E: Unable to locate package x"),
        ("npm error code E404\nnpm error 404\nA complete log is in a file.", "npm error code E404"),
        ("one\ntwo.\n", "two"),
        ("", "exit code 3"),
    ],
)
def test_a_failed_command_is_told_by_its_first_error_or_its_last_line(tmp_path, said, error):
    (tmp_path / "said").write_text(said)
    with pytest.raises(StackError) as failure:
        command.finish(("sh", "-c", "cat said; exit 3"), tmp_path)
    assert str(failure.value) == f"sh failed: {error}."


def test_a_command_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(StackError, match=r"^no-such-command could not be started \(No such file or directory\)\.$"):
        command.finish(("no-such-command",), tmp_path)


def test_of_what_a_package_needs_only_its_web_pages_are_unpacked():
    simulated = "Reading lists...\nInst libc6 (2.36)\nInst libjs-d3 (3.5)\nInst prometheus (2.42)\nConf libjs-d3 (3.5)"
    assert debian._web(simulated) == ["libjs-d3"]
