"""Unpacks packages of Debian or Ubuntu into a folder, with apt's own directories there: no root, no installation.

apt reads the system's sources and keys, and so checks signatures as always; it writes only into the folder.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from infra.command import finish
from infra.errors import StackError

CONFIGURATION = """\
Dir::State "{folder}/state";
Dir::State::Lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Log "{folder}/log";
Acquire::Languages "none";
Acquire::Retries "2";
APT::Install-Recommends "false";
APT::Sandbox::User "";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear Acquire::IndexTargets::deb::DEP-11;
"""
"""apt reads it after the system's configuration. Hooks of the system would write outside the folder; catalogues of
desktop programs are a third of the download; another user than root's could not write into root's cache."""


WEB = ("libjs-", "fonts-")
"""Of what a package depends on, only the files of its web pages are unpacked: libraries are the system's."""

UNUSED = "usr/share/javascript/moment-timezone/data"
"""200 MB of time zones, from which the files that pages use are made."""


def unpack(package: str, folder: Path) -> Path:
    """Returns the folder that has the package's files, below the given one. Raises `StackError`."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise StackError("this machine has no apt-get and dpkg-deb.")
    for each in ("state", "lists/partial", "cache/archives/partial", "log"):
        (folder / each).mkdir(parents=True)
    (folder / "status").touch()
    configuration = folder / "apt.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder))
    apt = ("apt-get", f"--config-file={configuration}")
    with contextlib.suppress(StackError):  # one of the system's other sources may be out of order
        finish((*apt, "update"), folder)
    finish((*apt, "download", package, *_web(finish((*apt, "--simulate", "install", package), folder))), folder)
    tree = folder / "tree"
    for archive in folder.glob("*.deb"):
        finish(("dpkg-deb", "--extract", str(archive), str(tree)), folder)
    shutil.rmtree(tree / UNUSED, ignore_errors=True)
    return tree


def _web(simulation: str) -> list[str]:
    """The names in apt's lines `Inst NAME (VERSION …)`."""
    installed = [line.split()[1] for line in simulation.splitlines() if line.startswith("Inst ")]
    return [name for name in installed if name.startswith(WEB)]
