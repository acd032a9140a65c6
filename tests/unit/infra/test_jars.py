"""The jars are pinned by coordinates and checksum, and a cache that holds them needs no network."""

from __future__ import annotations

import re

import pytest

from infra.jars import ROOTS, Jar, fetch, read_lock


@pytest.mark.parametrize("bundle", ROOTS)
def test_every_root_is_in_the_lock_in_exactly_its_version(bundle):
    locked = {jar.coordinates for jar in read_lock()[bundle]}
    assert set(ROOTS[bundle]) <= locked


@pytest.mark.parametrize("bundle", ROOTS)
def test_a_bundle_has_one_version_of_each_jar_and_a_checksum_for_it(bundle):
    jars = read_lock()[bundle]
    names = [jar.coordinates.rpartition(":")[0] for jar in jars]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) for jar in jars)


def test_connect_gets_one_jetty():
    jettys = {jar.coordinates.rpartition(":")[2] for jar in read_lock()["kafka"] if "jetty" in jar.coordinates}
    assert len(jettys) == 1


def test_a_cache_that_holds_every_jar_is_not_touched(tmp_path):
    jar = Jar("a.group:artifact:1.0", "0" * 64)
    (tmp_path / jar.file_name).touch()
    said = []
    fetch([jar, jar], tmp_path, said.append)
    assert said == []
    assert [path.name for path in tmp_path.iterdir()] == ["a.group-artifact-1.0.jar"]


def test_the_lock_is_read_by_bundle():
    lines = ["# a comment of several words", "[one]", "g:a:1 00", "g:b:2 11", "[two]", "g:c:3 22"]
    assert read_lock(lines) == {"one": (Jar("g:a:1", "00"), Jar("g:b:2", "11")), "two": (Jar("g:c:3", "22"),)}
