"""Mischief: what a job leaves or writes must not stop, fill or mislead its executor."""

from __future__ import annotations

from datetime import timedelta

from schemas.confinement import Confinement
from schemas.event import EndCause, Ended
from tests.support.hostile.attempts import hostile
from tests.support.hostile.inside import every, os, signal, sys, written_to

WHY = "it harms the executor in no mode"
MAX_OUTPUT = 9 * 1024


def _mischief(check, **changes):
    return hostile(shown_as=None, why=WHY, check=check, **changes)


def _result_is_refused(house, outcome):
    assert isinstance(outcome.end, Ended), outcome.end
    assert outcome.end.result is None
    assert outcome.end.result_problem


def _checkpoint_is_refused(house, outcome):
    assert isinstance(outcome.end, Ended), outcome.end
    assert outcome.end.checkpoint is None
    assert outcome.end.checkpoint_problem


def _ends(house, outcome):
    assert isinstance(outcome.end, Ended), outcome.end
    assert outcome.survivors == []


def _output_is_cut(house, outcome):
    assert len(outcome.end.output) <= MAX_OUTPUT
    assert outcome.end.output_bytes > 100 * MAX_OUTPUT


@_mischief(_output_is_cut)
def test_a_flood_of_output_is_cut(target):
    piece = b"x" * 65_536
    for _ in every(1.5):
        os.write(1, piece)


@_mischief(_result_is_refused)
def test_a_deep_result_is_refused(target):
    written_to(os.environ["TIDEMILL_RESULT"], "[" * 8_000_000 + "]" * 8_000_000)


@_mischief(_result_is_refused)
def test_a_result_of_a_terabyte_is_refused(target):
    path = os.environ["TIDEMILL_RESULT"]
    written_to(path, "1")
    try:
        os.truncate(path, 1 << 40)
    except OSError:
        os.truncate(path, 100 << 20)


@_mischief(_result_is_refused)
def test_a_pipe_as_the_result_is_refused(target):
    os.mkfifo(os.environ["TIDEMILL_RESULT"])


@_mischief(_result_is_refused)
def test_a_directory_as_the_result_is_refused(target):
    os.mkdir(os.environ["TIDEMILL_RESULT"])


@_mischief(_checkpoint_is_refused)
def test_a_pipe_in_the_checkpoint_is_refused(target):
    os.mkfifo(os.environ["TIDEMILL_CHECKPOINT"] + "/pipe")
    sys.exit(1)


@_mischief(_checkpoint_is_refused)
def test_a_deep_checkpoint_is_refused(target):
    os.chdir(os.environ["TIDEMILL_CHECKPOINT"])
    for _ in range(1200):
        os.mkdir("d")
        os.chdir("d")
    sys.exit(1)


@_mischief(_checkpoint_is_refused)
def test_a_checkpoint_of_a_terabyte_is_refused(target):
    path = os.environ["TIDEMILL_CHECKPOINT"] + "/sparse"
    written_to(path, "1")
    try:
        os.truncate(path, 1 << 40)
    except OSError:
        os.truncate(path, 100 << 20)
    sys.exit(1)


@_mischief(_checkpoint_is_refused)
def test_a_checkpoint_of_many_files_is_refused(target):
    place = os.environ["TIDEMILL_CHECKPOINT"]
    os.mknod(f"{place}/one")
    for number in range(10_000):  # links are made faster than files
        os.link(f"{place}/one", f"{place}/{number}")
    sys.exit(1)


@_mischief(_ends)
def test_a_checkpoint_that_grows_while_it_is_packed_ends_the_attempt(target):
    path = os.environ["TIDEMILL_CHECKPOINT"] + "/grows"
    written_to(path, "1")
    if os.fork():
        sys.exit(1)
    os.setsid()
    with open(path, "ab") as file:
        for _ in every(3, 0.001):
            file.write(bytes(65_536))
            if file.tell() > 200 << 20:
                break
    os._exit(0)


@_mischief(_ends)
def test_names_that_are_no_text_end_the_attempt(target):
    place = os.environ["TIDEMILL_CHECKPOINT"].encode()
    for name in (b"\xff\xfe", b"new\nline", b"-rf *", b"x" * 255, b"\x1b[2J"):
        os.mknod(place + b"/" + name)
    sys.exit(1)


@_mischief(_ends)
def test_as_many_files_as_it_can_make_end_the_attempt(target):
    for number in every(3):
        os.mknod(f"{number}")


@_mischief(_ends)
def test_directories_that_nobody_may_enter_end_the_attempt(target):
    os.makedirs("a/b/c")
    for path in ("a/b/c", "a/b", "a", os.environ["TIDEMILL_CHECKPOINT"], "."):
        os.chmod(path, 0)
    sys.exit(1)


def _secrets_are_there(house, outcome):
    assert isinstance(outcome.end, Ended), outcome.end
    house.run_twin(outcome)
    assert sorted(each.name for each in (house.folder / "secrets").iterdir()) == ["json", "key"]


@_mischief(_secrets_are_there, confinement=Confinement(disk=64 * 1024**2))
def test_links_in_the_place_of_its_directories_are_not_followed(target):
    for name in ("work", "checkpoint", "result"):
        try:
            os.rename(f"../{name}", f"../{name}-old")
            os.symlink(target.secrets, f"../{name}")
        except OSError:
            continue
    for _ in every(2, 0.1):  # its files are measured meanwhile
        pass
    sys.exit(1)


@_mischief(_ends)
def test_links_to_the_secrets_in_its_directory_are_not_followed_when_it_is_removed(target):
    os.symlink(target.secrets, "link")
    os.symlink(target.work, "work")
    os.symlink("/", os.environ["TIDEMILL_CHECKPOINT"] + "/root")


@_mischief(_ends)
def test_open_files_to_the_last_one_end_the_attempt(target):
    held = []
    for _ in every(2):
        try:
            held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            break
    os.closerange(3, 1 << 20)


def _limit_ends_it(house, outcome):
    assert isinstance(outcome.end, Ended), outcome.end
    assert outcome.end.cause is EndCause.LIMIT
    assert outcome.survivors == []


@_mischief(_limit_ends_it, order={"limit": timedelta(seconds=2)})
def test_a_job_that_stops_itself_ends_at_its_limit(target):
    os.kill(0, signal.SIGSTOP)


@_mischief(_limit_ends_it, order={"limit": timedelta(seconds=2)})
def test_a_job_that_ignores_every_signal_ends_at_its_limit(target):
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            continue
    while True:
        signal.pause()


@_mischief(_ends)
def test_sockets_and_pipes_in_its_directory_are_removed(target):
    os.mkfifo("pipe")
    os.mknod("socket", 0o140600)
