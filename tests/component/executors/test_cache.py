"""The cache of executables on a real file system."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest

from executors.cache import Cache, stamp_of
from executors.executables import Executables
from executors.s3 import Download
from executors.workspace import Workspace
from tests.support.executor_figures import new_metrics

EXECUTORS = 200


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache", max_bytes=100, scratch_prefix="x.1")


def adopt(cache, data, number=0):
    file = cache.scratch(number)
    file.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    cache.adopt(file, sha256)
    return sha256


def test_an_adopted_file_is_held_and_can_be_executed_but_not_written(cache):
    sha256 = adopt(cache, b"a")
    assert cache.holds(sha256)
    assert cache.use(sha256).stat().st_mode & 0o777 == 0o555


def test_the_least_recently_used_goes_first(cache):
    first, second = adopt(cache, b"1" * 40), adopt(cache, b"2" * 40)
    cache.use(first)
    third = adopt(cache, b"3" * 40)
    assert [cache.holds(each) for each in (first, second, third)] == [True, False, True]


def test_an_executable_in_use_is_never_evicted(cache, tmp_path):
    workspace = Workspace(tmp_path / "work", "x.1", cache_dir=tmp_path / "cache", spare_dirs=1)
    first = adopt(cache, b"1" * 40)
    directory = workspace.attempt_dirs.take(cache.use(first), "job.sh")
    adopt(cache, b"2" * 40)
    adopt(cache, b"3" * 40)
    assert cache.holds(first)
    assert directory.executable.read_bytes() == b"1" * 40
    workspace.attempt_dirs.release(directory)
    adopt(cache, b"4" * 40)
    assert not cache.holds(first)


def test_a_file_of_an_earlier_process_is_used_after_verification(cache, tmp_path):
    sha256 = adopt(cache, b"a")
    again = Cache(tmp_path / "cache", max_bytes=100, scratch_prefix="x.2")
    assert not again.holds(sha256)
    again.admit(sha256, again.verify(sha256))
    assert again.holds(sha256)


class Store:
    """An S3 with one object."""

    def etag(self, _):
        return "x"

    def download(self, address, file, *, max_bytes, until):
        file.write_bytes(b"a")
        return Download(etag="x", sha256=hashlib.sha256(b"a").hexdigest(), size=1)


def test_an_executor_that_fetches_what_another_one_has_does_not_replace_it(tmp_path):
    async def body():
        first, second = (
            Executables(
                store=Store(),
                cache=Cache(tmp_path, max_bytes=100, scratch_prefix=name),
                metrics=new_metrics(),
                fetch_timeout=timedelta(seconds=10),
            )
            for name in ("x.1", "x.2")
        )
        found = await first.fetch("s3://bucket/a", None)
        again = await second.fetch("s3://bucket/a", None)
        assert found.stamp == again.stamp == stamp_of(found.path)
        assert first.cached("s3://bucket/a", found.sha256, 0.0) == found
        first.close()
        second.close()

    asyncio.run(body())


def test_of_two_executors_that_fetch_at_once_the_first_keeps_its_file(cache, tmp_path):
    sha256 = adopt(cache, b"a")
    other = Cache(tmp_path / "cache", max_bytes=100, scratch_prefix="x.2")
    file = other.scratch(0)
    file.write_bytes(b"a")
    assert not other.adopt(file, sha256)
    assert cache.holds(sha256)
    assert not other.holds(sha256)


def test_a_damaged_file_is_removed(cache, tmp_path):
    path = cache.use(adopt(cache, b"a"))
    os.truncate(path, 0)
    again = Cache(tmp_path / "cache", max_bytes=100, scratch_prefix="x.2")
    assert not again.verify(path.name)
    assert not path.exists()


def touch_again(path):
    """As a program does that hides what it has written."""
    before = path.stat()
    path.chmod(0o755)
    path.write_bytes(b"b")
    path.chmod(0o555)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


@pytest.mark.parametrize(
    "change",
    [
        touch_again,
        lambda path: path.chmod(0o755),
        lambda path: path.write_bytes(b"longer"),
        lambda path: (path.unlink(), path.write_bytes(b"a"), path.chmod(0o555)),
        lambda path: (path.rename(path.with_name("x")), path.symlink_to("x")),
    ],
)
def test_a_file_that_changed_is_verified_again(cache, change):
    sha256 = adopt(cache, b"a")
    path = cache.use(sha256)
    change(path)
    assert not cache.holds(sha256)
    stamp = cache.verify(sha256)
    if stamp:
        cache.admit(sha256, stamp)
    assert cache.holds(sha256) == bool(stamp)
    if stamp:
        assert (path.read_bytes(), path.lstat().st_mode & 0o7777) == (b"a", 0o555)


def test_a_file_of_another_user_is_not_trusted(cache, monkeypatch):
    path = cache.use(adopt(cache, b"a"))
    monkeypatch.setattr(os, "geteuid", lambda: 12)
    if os.getuid() == 0:
        os.chown(path, 13, 13)
    assert cache.verify(path.name) is None
    assert not path.exists()


def test_only_directories_of_dead_executors_are_removed(tmp_path):
    cache_dir = tmp_path / "cache"
    cache_dir.mkdir()
    living = Workspace(tmp_path / "work", "living.1", cache_dir=cache_dir, spare_dirs=1)
    dead = tmp_path / "work" / "dead.1"
    (dead / "7" / "work").mkdir(parents=True)
    (dead / "lock").touch()
    (cache_dir / "dead.1.3").touch()
    Workspace(tmp_path / "work", "new.1", cache_dir=cache_dir, spare_dirs=1).close()
    assert [each.name for each in (tmp_path / "work").iterdir()] == ["living.1"]
    assert not list(cache_dir.iterdir())
    living.close()


def test_only_processes_of_dead_executors_are_killed(tmp_path):
    living = Workspace(tmp_path, "living.1", cache_dir=tmp_path / "cache", spare_dirs=1)
    (tmp_path / "dead.1").mkdir()
    (tmp_path / "dead.1" / "lock").touch()
    environments = [{"TIDEMILL_CHECKPOINT": f"{tmp_path}/{name}/7/checkpoint"} for name in ("dead.1", "living.1")]
    left, other, stranger = (subprocess.Popen(["sleep", "60"], env=each) for each in [*environments, {}])
    Workspace(tmp_path, "new.1", cache_dir=tmp_path / "cache", spare_dirs=1).close()
    assert left.wait(timeout=10) == -signal.SIGKILL
    for each in (other, stranger):
        assert each.poll() is None
        each.kill()
        each.wait()
    living.close()


def test_executors_that_start_together_do_not_remove_each_others_directories(tmp_path):
    names = [f"living.{number}" for number in range(EXECUTORS)]
    for number in range(EXECUTORS):
        dead = tmp_path / f"dead.{number}"
        dead.mkdir()
        (dead / "lock").touch()
    with ThreadPoolExecutor(8) as threads:
        living = list(threads.map(partial(Workspace, tmp_path, cache_dir=tmp_path / "cache", spare_dirs=1), names))
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(names)
    assert all((tmp_path / name / "lock").exists() for name in names)
    for each in living:
        each.close()


def test_what_is_not_a_file_neither_blocks_nor_stops_the_cache(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    fifo, below = "0" * 64, "1" * 64
    os.mkfifo(folder / fifo)
    (folder / below).mkdir()
    cache = Cache(folder, max_bytes=100, scratch_prefix="x.1")
    assert [cache.verify(fifo), cache.verify(below)] == [None, None]
    first = adopt(cache, b"1" * 60)
    cache.use(first).unlink()
    (folder / first).mkdir()
    assert cache.holds(adopt(cache, b"2" * 60))
