"""Hostile attempts on files: of neighbours, of the executor, of the host."""

from __future__ import annotations

from pathlib import Path

from schemas.confinement import Sandbox
from schemas.event import Ended
from tests.support.hostile.attempts import ROOT, SHARED_USER, SHIM, hostile
from tests.support.hostile.inside import (
    LIBC,
    any_of,
    ctypes,
    every,
    fcntl,
    find_in,
    opened,
    os,
    suppress,
    sys,
    written_to,
)

OUTSIDE = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/root", "/home", "/usr/local", "/etc", "/")


@hostile()
def test_a_job_does_not_read_the_files_of_its_neighbour(target):
    return find_in(f"{target.neighbour_dir}/private", target.tokens)


@hostile()
def test_a_job_does_not_reach_the_files_of_its_neighbour_through_proc(target):
    places = [f"/proc/{pid}/{place}" for pid in target.neighbours for place in ("cwd", "root" + target.neighbour_dir)]
    return any_of(*(lambda place=place: find_in(f"{place}/private", target.tokens) for place in places))


@hostile()
def test_a_job_does_not_write_into_the_directories_of_its_neighbour(target):
    path = f"{target.neighbour_checkpoint}/intruder"
    got = any_of(lambda: written_to(path, "x"), lambda: os.link(sys.argv[0], path) or "linked")
    os.unlink(path)
    return got


@hostile(also_in=(SHIM,))
def test_a_job_does_not_read_the_directory_of_secrets(target):
    return any_of(
        lambda: find_in(f"{target.secrets}/key", target.tokens),
        lambda: os.listdir(target.secrets),
        lambda: os.link(f"{target.secrets}/key", "mine") or find_in("mine", target.tokens),
        lambda: os.symlink(f"{target.secrets}/key", "link") or find_in("link", target.tokens),
    )


@hostile()
def test_a_job_does_not_list_the_attempts_of_its_executor(target):
    own = os.getcwd().split("/")
    return any_of(
        lambda: [each for each in os.listdir(target.work) if each not in own],
        lambda: [each for each in os.listdir("../..") if each not in own],
    )


@hostile(known=SHARED_USER)
def test_a_job_does_not_change_the_mode_or_the_time_of_what_is_not_its_own(target):
    places = [f"{target.work}/cache", target.neighbour_dir]
    changes = [lambda path=path: os.utime(path) or "its time" for path in places]
    changes += [lambda path=path: os.chmod(path, os.stat(path).st_mode & 0o7777) or "its mode" for path in places]
    return any_of(*changes)


@hostile(known=SHARED_USER)
def test_a_job_does_not_watch_the_directory_of_its_neighbour(target):
    """It would hear the names of files, and when they are used."""
    watcher, everything = LIBC.inotify_init1(0), 0xFFF
    if LIBC.inotify_add_watch(watcher, target.neighbour_dir.encode(), everything) < 0:
        raise OSError(ctypes.get_errno(), "inotify_add_watch")
    return "watches it"


def _programs_are_as_they_were(house, outcome):
    house.expect(outcome)
    if house.key.sandbox is not Sandbox.NONE:
        again = house.run_twin(outcome)
        assert [each.output for each in (*outcome.twins, again)] == ["as it was\n"] * 4


@hostile(twins=3, check=_programs_are_as_they_were)
def test_a_job_does_not_change_its_program_nor_the_cache_while_others_start_it(target):
    cached = f"{target.work}/cache/{target.executable}"

    def append(path):
        with open(path, "ab") as file:
            return file.write(b"\nprint('changed')\n")

    def replace(path):
        written_to("other", "#!/bin/sh\necho changed\n")
        os.chmod("other", 0o755)
        os.rename("other", path)
        return f"replaced {path}"

    def link(path):
        os.link(path, "linked")
        os.chmod("linked", 0o755)
        return append("linked")

    ways = (append, replace, link, lambda path: os.truncate(path, 10) or "cut", lambda path: os.unlink(path) or "gone")
    for _ in every(1.0, 0.01):
        for path in (sys.argv[0], cached):
            with suppress(OSError):
                os.chmod(path, 0o755)
            for way in ways:
                try:
                    if got := way(path):
                        return got
                except OSError as error:
                    last = error
    raise last


def _nothing_has_moved(house, outcome):
    """What it makes in a private /tmp is its own affair."""
    left = [path for path in (house.folder / "executor-0").iterdir() if outcome.order.args[0] in path.name]
    assert bool(left) == (house.key.sandbox is Sandbox.NONE), left


@hostile(check=_nothing_has_moved)
def test_a_job_does_not_link_or_move_anything_out_of_its_directory(target):
    written_to("mine", "x")
    place = f"{target.house}/executor-0/{target.mark}"
    return any_of(
        lambda: os.link("mine", f"{place}-linked") or "linked",
        lambda: os.rename("mine", f"{place}-moved") or "moved",
        lambda: os.rename(os.getcwd(), f"{place}-work") or "moved its own directory",
        lambda: os.mkdir(f"{place}-made") or "made",
    )


def _nothing_is_outside(house, outcome):
    mark = outcome.order.args[0]
    left = [path for place in OUTSIDE if (path := Path(place, mark)).exists()]
    for path in left:
        path.unlink()
    assert bool(left) == (house.key.sandbox is Sandbox.NONE), left


@hostile(check=_nothing_is_outside, told={"outside": OUTSIDE})
def test_a_job_leaves_nothing_outside_of_its_directory(target):
    got = []
    for place in target.outside:
        try:
            got.append(written_to(f"{place}/{target.mark}", "x"))
        except OSError:
            continue
    return got


@hostile()
def test_a_job_does_not_read_what_others_leave_in_tmp(target):
    return any_of(
        lambda: find_in(f"{target.house}/public", target.tokens),
        lambda: "secrets" in os.listdir(target.house),
    )


@hostile()
def test_a_job_sees_nothing_of_the_host_but_programs(target):
    places = ("/etc/cron.d", "/etc/init.d", "/home", "/root", "/var/log", "/var/lib", "/srv", "/mnt")
    return any_of(*(lambda place=place: os.listdir(place) for place in places))


def _result_is_no_secret(house, outcome):
    assert isinstance(outcome.end, Ended)
    assert outcome.end.result is None
    assert outcome.end.result_problem or "held" in outcome.verdict


@hostile(shown_as=None, why="the executor follows no link to a result", check=_result_is_no_secret)
def test_a_job_does_not_make_the_executor_take_a_secret_for_its_result(target):
    """One of the secrets has the name of a result."""
    directory = os.path.dirname(os.environ["TIDEMILL_RESULT"])
    return any_of(
        lambda: os.rename(directory, directory + "-old") or os.symlink(target.secrets, directory) or "put a link there",
        lambda: os.link(f"{target.secrets}/json", os.environ["TIDEMILL_RESULT"]) or "linked",
        lambda: os.symlink(f"{target.secrets}/json", os.environ["TIDEMILL_RESULT"]) or "put a link there",
    )


def _checkpoint_is_no_secret(house, outcome):
    end = outcome.end
    assert isinstance(end, Ended)
    assert end.exit_code == 1
    assert end.checkpoint_problem or house.secret.encode() not in house.stored(end.checkpoint)


@hostile(shown_as=None, why="the executor follows no link in a checkpoint", check=_checkpoint_is_no_secret)
def test_a_job_does_not_make_the_executor_take_a_secret_for_its_checkpoint(target):
    place = os.environ["TIDEMILL_CHECKPOINT"]
    written_to(f"{place}/plain", "x")
    try:
        os.rename(place, place + "-old")
        os.symlink(target.secrets, place)
    except OSError:
        os.symlink(target.secrets, f"{place}/link")
    sys.exit(1)


@hostile(shown_as=None, why="the executor follows no link in a checkpoint", check=_checkpoint_is_no_secret)
def test_a_job_does_not_win_a_race_for_its_checkpoint(target):
    """A process of it puts a directory and a link to the secrets in each other's place, as fast as it can."""
    place = os.environ["TIDEMILL_CHECKPOINT"]
    os.symlink(target.secrets, f"{place}/link")
    os.mkdir(f"{place}/directory")
    if os.fork():
        sys.exit(1)
    os.setsid()
    for _ in every(5):
        for first, last in (("link", "spare"), ("directory", "link"), ("spare", "directory")):
            os.rename(f"{place}/{first}", f"{place}/{last}")
    os._exit(0)


@hostile(shown_as=ROOT)
def test_a_job_makes_no_device(target):
    return os.mknod("device", 0o20666, os.makedev(1, 3)) or "made one"


@hostile(shown_as=ROOT)
def test_a_job_opens_no_device_of_the_host(target):
    names = ("kmsg", "mem", "kvm", "fuse", "net/tun", "loop-control", "loop0", "vda", "sda", "tty0", "console")
    return any_of(*(lambda path=f"/dev/{name}": opened(path, os.O_RDWR | os.O_NONBLOCK) for name in names))


@hostile(shown_as=ROOT)
def test_a_job_does_not_write_to_the_kernels_files(target):
    """It opens them and writes nothing."""
    paths = (
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/proc/sys/vm/drop_caches",
        "/sys/kernel/uevent_helper",
    )
    return any_of(*(lambda path=path: opened(path, os.O_WRONLY) for path in paths))


@hostile(shown_as=ROOT)
def test_a_job_does_not_leave_its_cgroup(target):
    """It opens the lists of processes and writes nothing."""
    lists = [f"/sys/fs/cgroup/{name}cgroup.procs" for name in ("", "memory/", "pids/", "cpu/", "unified/")]
    return any_of(*(lambda path=path: opened(path, os.O_WRONLY) for path in lists))


@hostile()
def test_a_job_does_not_lock_the_files_of_its_executor(target):
    own = os.open(f"{os.getcwd()}/../../lock", os.O_RDONLY)
    try:
        fcntl.flock(own, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "opened it, and its executor holds it"
    return "locked it"


@hostile()
def test_a_job_takes_no_lease_on_a_file(target):
    """Another process would wait 45 seconds to open it."""
    return fcntl.fcntl(os.open(sys.argv[0], os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_RDLCK) or "has a lease"
