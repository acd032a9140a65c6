"""Executes a command as another user than the test's: a plain user for root, a namespace's root for a plain user.

Usage: `python -m tests.support.hostile.as_user root|plain <command…>`; it needs nothing but the standard library.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

PLAIN_UID = 54_321
"""No machine's own user, and outside the users that the executor gives to attempts."""
_ROOT = Path(__file__).parents[3]
_NEW_MOUNTS, _NEW_USERS = 0x20000, 0x10000000
_PR_SET_PDEATHSIG = 1
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18
_LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    user, *command = sys.argv[1:]
    is_root = os.geteuid() == 0
    if user == "plain" and is_root:
        _become_plain()
    elif user == "root" and not is_root:
        _become_root_of_a_namespace()
    os.execv(command[0], command)


def _become_plain() -> None:
    house = Path(os.environ["TIDEMILL_SECRETS_DIR"]).parent
    for path in (house, *house.rglob("*")):
        os.chown(path, PLAIN_UID, PLAIN_UID)
    _open_the_way((Path(sys.prefix), Path(sys.base_prefix), _ROOT))
    os.setgroups([])
    os.setresgid(PLAIN_UID, PLAIN_UID, PLAIN_UID)
    os.setresuid(PLAIN_UID, PLAIN_UID, PLAIN_UID)
    # A change of user clears the signal at the death of the test, which `infra/leash.py` has set.
    _check(_LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def _open_the_way(wanted: tuple[Path, ...]) -> None:
    """Below directories that others may not enter, shows this process (and no other) only what is wanted."""
    _check(_LIBC.unshare(_NEW_MOUNTS), "unshare")
    _mount(None, "/", None, _RECURSIVE | _PRIVATE)
    barred: dict[Path, list[tuple[Path, int]]] = {}
    for path in dict.fromkeys(wanted):
        closed = next((each for each in (*reversed(path.parents), path) if not each.stat().st_mode & 1), None)
        if closed:
            barred.setdefault(closed, []).append((path, os.open(path, os.O_PATH)))
    for closed, inner in barred.items():
        _mount("none", str(closed), "tmpfs", 0, "mode=755")
        for path, fd in sorted(inner):
            path.mkdir(parents=True, exist_ok=True)
            _mount(f"/proc/self/fd/{fd}", str(path), None, _BIND | _RECURSIVE)
            os.close(fd)


def _become_root_of_a_namespace() -> None:
    """It has all rights of root over what belongs to this user, and no other user."""
    uid, gid = os.geteuid(), os.getegid()
    _check(_LIBC.unshare(_NEW_USERS), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def _mount(source: str | None, path: str, kind: str | None, flags: int, options: str | None = None) -> None:
    encoded = [each.encode() if each else None for each in (source, path, kind, options)]
    result = _LIBC.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    _check(result, f"mount on {path}")


def _check(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main()
