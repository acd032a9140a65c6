"""Packs a directory into one file and unpacks it: allowed contents and refusals."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import tarfile
from contextlib import suppress

import pytest

from executors import bundle as bundles
from executors.bundle import MAX_BYTES, MAX_DEPTH, MAX_FILE_BYTES, BundleError, unpack


@pytest.fixture
def left(tmp_path):
    made = tmp_path / "left"
    made.mkdir()
    return made


@pytest.fixture
def found(tmp_path):
    made = tmp_path / "found"
    made.mkdir()
    return made


@pytest.fixture
def bundle(tmp_path):
    return tmp_path / "bundle"


def pack(directory, bundle):
    with bundle.open("wb") as file:
        bundles.pack(directory, file, os.geteuid())


def crafted(bundle, *members, content=b"x"):
    """A hostile or broken tar file."""
    with tarfile.open(bundle, "w") as tar:
        for fields in members:
            member = tarfile.TarInfo(fields.pop("name"))
            for name, value in {"size": 0, **fields}.items():
                setattr(member, name, value)
            tar.addfile(member, io.BytesIO(content * member.size))


def test_a_packed_directory_is_unpacked_unchanged(left, found, bundle):
    (left / "a" / "b").mkdir(parents=True)
    (left / "a" / "b" / "ü\n").write_bytes(b"\0" * 9)
    (left / "run").write_text("#!/bin/sh\n")
    (left / "run").chmod(0o700)
    (left / "latest").symlink_to("a/b")
    (left / "same").hardlink_to(left / "run")
    (left / ("n" * 250)).touch()
    pack(left, bundle)
    unpack(bundle, found)
    assert sorted(each.name for each in found.iterdir()) == ["a", "latest", "n" * 250, "run", "same"]
    assert (found / "latest" / "ü\n").read_bytes() == b"\0" * 9
    assert os.access(found / "same", os.X_OK)


def test_an_empty_directory_is_one_afterwards(left, found, bundle):
    pack(left, bundle)
    unpack(bundle, found)
    assert list(found.iterdir()) == []


def test_a_bundle_is_limited_in_bytes(left, bundle):
    with (left / "big").open("wb") as file:
        file.truncate(MAX_BYTES)
    pack(left, bundle)
    (left / "one more").write_bytes(b"x")
    with pytest.raises(BundleError, match="larger than 64 MB"):
        pack(left, bundle)


def test_a_bundle_is_limited_in_entries(left, bundle, monkeypatch):
    monkeypatch.setattr("executors.bundle.MAX_ENTRIES", 3)
    for name in "abc":
        (left / name).touch()
    pack(left, bundle)
    (left / "one more").touch()
    with pytest.raises(BundleError, match="more than 3 files"):
        pack(left, bundle)


@pytest.mark.parametrize("target", ["/etc/passwd", "../elsewhere"])
def test_a_link_that_leads_outside_is_not_packed(left, bundle, target):
    (left / "link").symlink_to(target)
    with pytest.raises(BundleError, match="link"):
        pack(left, bundle)


def test_a_chain_of_links_is_packed_or_refused_however_long_it_is(left, bundle):
    (left / "0").touch()
    for number in range(1, 1200):
        (left / str(number)).symlink_to(str(number - 1))
    with suppress(BundleError):  # the library decides whether it can be followed
        pack(left, bundle)


def test_special_files_are_not_packed(left, bundle):
    os.mkfifo(left / "pipe")
    with pytest.raises(BundleError, match="'pipe' is neither"):
        pack(left, bundle)
    (left / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(left / "socket"))
    with pytest.raises(BundleError, match="'socket' is neither"):
        pack(left, bundle)


def test_a_link_in_the_place_of_the_directory_is_not_followed(left, found, bundle):
    (found / "secret").touch()
    left.rmdir()
    left.symlink_to(found)
    with pytest.raises(BundleError, match="not a directory"):
        pack(left, bundle)


@pytest.fixture
def grows(left):
    """A process that appends to files of the directory as fast as it can, as a survivor of an attempt may."""
    loop = "while :; do for each in 1 2 3 4; do head -c 8000000 /dev/zero >> $each || exit; done; done"
    with subprocess.Popen(["/bin/sh", "-c", f"ulimit -f 400000; : > 1; {loop}"], cwd=left, stderr=-3) as process:
        while not (left / "1").exists():
            pass
        yield
        process.kill()


def test_a_bundle_stays_below_its_limit_while_its_files_grow(left, bundle, grows):
    with suppress(BundleError):
        while True:
            pack(left, bundle)
            assert bundle.stat().st_size <= MAX_FILE_BYTES
    assert bundle.stat().st_size <= MAX_FILE_BYTES


def test_a_bundle_is_limited_in_depth(left, bundle):
    place = left
    for _ in range(MAX_DEPTH + 1):
        place = place / "d"
        place.mkdir()
    with pytest.raises(BundleError, match="nested deeper"):
        pack(left, bundle)


def test_a_directory_that_is_gone_is_not_packed(left, bundle):
    left.rmdir()
    with pytest.raises(BundleError, match="No such file"):
        pack(left, bundle)


@pytest.mark.parametrize(
    "member",
    [
        {"name": "../out", "size": 1},
        {"name": "link", "type": tarfile.SYMTYPE, "linkname": "/etc"},
        {"name": "hard", "type": tarfile.LNKTYPE, "linkname": "../../etc/passwd"},
        {"name": "null", "type": tarfile.CHRTYPE},
    ],
)
def test_paths_outside_and_devices_are_not_unpacked(found, bundle, tmp_path, member):
    crafted(bundle, member)
    with pytest.raises(BundleError):
        unpack(bundle, found)
    assert list(found.iterdir()) == []
    assert not (tmp_path / "out").exists()


def test_too_large_a_bundle_is_not_unpacked(found, bundle):
    crafted(bundle, {"name": "a", "size": MAX_BYTES}, {"name": "b", "size": 1})
    with pytest.raises(BundleError, match="larger"):
        unpack(bundle, found)
    assert list(found.iterdir()) == []


@pytest.mark.parametrize("cut", [b"", b"no tar at all" * 100])
def test_a_damaged_bundle_is_refused(found, bundle, cut):
    bundle.write_bytes(cut)
    with pytest.raises(BundleError, match="cannot be unpacked"):
        unpack(bundle, found)


def test_a_truncated_bundle_is_refused(left, found, bundle):
    (left / "a").write_bytes(b"x" * 50_000)
    pack(left, bundle)
    bundle.write_bytes(bundle.read_bytes()[:20_000])
    with pytest.raises(BundleError):
        unpack(bundle, found)


def test_a_file_of_another_user_is_not_packed(left, bundle):
    (left / "mine").touch()
    with bundle.open("wb") as file, pytest.raises(BundleError, match="'mine' belongs to another user"):
        bundles.pack(left, file, os.geteuid() + 1)


def test_times_survive(left, found, bundle):
    (left / "a").mkdir()
    (left / "a" / "b").touch()
    for path in (left / "a" / "b", left / "a"):
        os.utime(path, (1, 1))
    pack(left, bundle)
    unpack(bundle, found)
    assert [each.stat().st_mtime for each in (found / "a" / "b", found / "a")] == [1, 1]


def test_unpacking_follows_no_link_that_the_bundle_brings(found, bundle, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (found / "planted").symlink_to(outside)
    link = [{"name": "a", "type": tarfile.DIRTYPE}, {"name": "link", "type": tarfile.SYMTYPE, "linkname": "a"}]
    for members in (
        [{"name": "planted/x", "size": 1}],
        [*link, {"name": "link/x", "size": 1}],
        [{"name": "twice", "size": 1}, {"name": "twice", "size": 1}],
    ):
        crafted(bundle, *members)
        with pytest.raises(BundleError):
            unpack(bundle, found)
    assert list(outside.iterdir()) == []


def test_what_is_unpacked_belongs_to_the_user_of_the_attempt(left, found, bundle):
    (left / "a").mkdir()
    (left / "a" / "b").touch()
    (left / "link").symlink_to("a")
    pack(left, bundle)
    user = 2_100_500_000 if os.geteuid() == 0 else os.geteuid()
    unpack(bundle, found, user)
    assert {each.lstat().st_uid for each in found.rglob("*")} == {user}
