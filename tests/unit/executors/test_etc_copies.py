"""Copies of files of /etc for sandboxes: complete, current, and open to no one whom the originals are closed to."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from executors.sandbox.etc_copies import EtcCopies

TEN_SECONDS = 10.0


class Etc:
    """A directory that stands for /etc, and copies of it, which look at a clock that a test moves."""

    def __init__(self, folder, *names):
        self.now = 0.0
        self.source = folder / "etc"
        self.source.mkdir()
        paths = [str(self.source / each) for each in names]
        self.copies = EtcCopies(folder / "of_executor" / "etc", paths, lambda: self.now, etc=str(self.source))

    def write(self, name, text, mode=0o644):
        """As programs do it: a new file takes the name."""
        path, new = self.source / name, self.source / "new"
        path.parent.mkdir(exist_ok=True)
        new.write_text(text)
        new.chmod(mode)
        new.rename(path)

    def copied(self, name):
        return (self.copies.directory / name).read_text()

    def refresh(self, after=TEN_SECONDS):
        self.now += after
        self.copies.refresh()


def names(directory):
    return sorted(each.name for each in directory.iterdir())


def test_files_and_directories_are_copied_and_others_are_not(tmp_path):
    etc = Etc(tmp_path, "hosts", "ssl/certs", "absent")
    etc.write("hosts", "h")
    etc.write("shadow", "s")
    (etc.source / "ssl").mkdir()
    etc.write("ssl/certs/ca", "c")
    etc.write("ssl/key", "k")
    etc.refresh()
    found = {str(each.relative_to(etc.copies.directory)) for each in etc.copies.directory.rglob("*")}
    assert found == {"hosts", "ssl", "ssl/certs", "ssl/certs/ca"}
    assert (etc.copied("hosts"), etc.copied("ssl/certs/ca")) == ("h", "c")


def test_a_link_is_copied_as_what_it_leads_to_and_links_inside_of_a_directory_stay_links(tmp_path):
    etc = Etc(tmp_path, "resolv.conf", "alternatives")
    (tmp_path / "stub").write_text("nameserver 127.0.0.53")
    (etc.source / "resolv.conf").symlink_to(tmp_path / "stub")
    (etc.source / "alternatives").mkdir()
    (etc.source / "alternatives" / "awk").symlink_to("/usr/bin/gawk")
    etc.refresh()
    assert not (etc.copies.directory / "resolv.conf").is_symlink()
    assert etc.copied("resolv.conf") == "nameserver 127.0.0.53"
    assert str((etc.copies.directory / "alternatives" / "awk").readlink()) == "/usr/bin/gawk"


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_every_user_may_read_what_every_user_may_read_in_etc_and_nothing_else(tmp_path, umask):
    before = os.umask(umask)
    try:
        etc = Etc(tmp_path, "default/locale", "odbcinst.ini")
        etc.write("default/locale", "l")
        etc.write("odbcinst.ini", "password", mode=0o640)
        etc.refresh()
    finally:
        os.umask(before)
    copies = etc.copies.directory
    modes = {each: stat.S_IMODE((copies / each).stat().st_mode) for each in (".", "default", "default/locale")}
    assert modes == {".": 0o755, "default": 0o755, "default/locale": 0o644}
    assert stat.S_IMODE((copies / "odbcinst.ini").stat().st_mode) == 0o640


def test_what_changes_comes_and_goes_is_copied_at_the_next_look_in_the_same_directory(tmp_path):
    etc = Etc(tmp_path, "hosts", "passwd", "fonts")
    etc.write("hosts", "old")
    etc.write("passwd", "p")
    etc.refresh()
    seen = os.open(etc.copies.directory, os.O_PATH)  # as a running attempt has it
    etc.write("hosts", "new")
    (etc.source / "passwd").unlink()
    etc.write("fonts/one", "1")
    etc.refresh(after=TEN_SECONDS - 1)
    assert etc.copied("hosts") == "old"
    etc.refresh(after=1.0)
    assert names(Path(f"/proc/self/fd/{seen}")) == ["fonts", "hosts"]
    assert (etc.copied("hosts"), etc.copied("fonts/one")) == ("new", "1")
    etc.write("fonts/two", "2")
    etc.refresh()
    assert etc.copied("fonts/two") == "2"


def test_what_is_no_file_is_left_out_and_the_rest_of_its_directory_is_copied(tmp_path):
    etc = Etc(tmp_path, "profile.d", "rpc")
    etc.write("profile.d/good", "g")
    os.mkfifo(etc.source / "profile.d" / "fifo")
    os.mkfifo(etc.source / "rpc")
    etc.refresh()
    assert names(etc.copies.directory / "profile.d") == ["good"]
    assert not (etc.copies.directory / "rpc").exists()
