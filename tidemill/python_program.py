"""Makes one executable file of a Python function, its project and its dependencies: `tidemill job put --python`.

The file is a zip archive behind a line for the shell (https://docs.python.org/3/library/zipapp.html). The same sources
make the same bytes, so a program that has not changed is the same executable.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tidemill import job
from tidemill.target import UsageError

SHEBANG = b"#!/usr/bin/env python3\n"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip archive can hold."""
NATIVE = {".so", ".pyd"}
UNSTABLE = re.compile(r"(^|/)(__pycache__|bin)(/|$)|\.dist-info/(direct_url\.json|RECORD|REQUESTED|INSTALLER)$|\.pyc$")
"""Files that differ from one machine to another, or that nobody needs."""
_TARGET = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")
CHECK = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
try:
    found = getattr(importlib.import_module(sys.argv[2]), sys.argv[3], None)
except Exception as error:
    sys.exit(f"the module {sys.argv[2]} cannot be imported: {type(error).__name__}: {error}")
if not callable(found):
    sys.exit(f"the module {sys.argv[2]} has no function {sys.argv[3]}")
"""
MAIN = """
import pathlib, sys, tempfile, zipfile

VERSION = {version}
if VERSION and sys.version_info[:2] != VERSION:
    sys.exit("this program has compiled modules for Python %d.%d, and python3 here is %d.%d; "
             "another one comes first with PATH in the column env" % (*VERSION, *sys.version_info[:2]))
sys.stdout.reconfigure(line_buffering=True)  # so that its log can be followed, and is in order
folder = tempfile.mkdtemp(prefix="program-")  # compiled modules and data files cannot be used inside of the archive
with zipfile.ZipFile(pathlib.Path(__file__).parent) as archive:
    archive.extractall(folder)
sys.path[0] = folder

from {module} import {function}
from tidemill.job import this_run

value = {function}()
if value is not None:
    this_run.result = value
"""


def pack(target: str, project: Path) -> bytes:
    """The executable of `package.module:function`; what the function returns is the run's result.

    `project` is the directory that has the package. If it has a pyproject.toml, it is installed with its dependencies;
    otherwise the package is copied, and what a requirements.txt lists is installed beside it.

    Raises `UsageError` if something is missing, cannot be installed or cannot be imported.
    """
    found = _TARGET.fullmatch(target)
    if found is None:
        raise UsageError(f"--python {target!r} is not of the form package.module:function")
    module, function = found[1], found[2]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        _collect(folder, module, project)
        _add_this_run(folder)
        _check(folder, module, function)
        return SHEBANG + _archive(folder, module, function)


def _collect(folder: Path, module: str, project: Path) -> None:
    if (project / "pyproject.toml").exists():
        _install(folder, str(project))
        return
    top = module.partition(".")[0]
    if (project / top).is_dir():
        shutil.copytree(project / top, folder / top)
    elif (project / f"{top}.py").is_file():
        shutil.copy(project / f"{top}.py", folder)
    else:
        raise UsageError(f"--python: there is neither {top}/ nor {top}.py in {project}; --project names the directory")
    listed = project / "requirements.txt"
    if listed.exists():
        _install(folder, "--requirement", str(listed))


def _install(folder: Path, *what: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    done = subprocess.run([*command, "--target", str(folder), *what], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(f"pip cannot install {what[-1]}: {_last_line(done.stderr)}")


def _add_this_run(folder: Path) -> None:
    """`from tidemill.job import this_run` works where Tidemill is not installed."""
    package = folder / "tidemill"
    if not package.exists():
        package.mkdir()
        (package / "__init__.py").write_text("")
        shutil.copy(job.__file__, package / "job.py")


def _check(folder: Path, module: str, function: str) -> None:
    command = [sys.executable, "-I", "-c", CHECK, str(folder), module, function]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        raise UsageError(f"--python: {_last_line(done.stderr)}")


def _archive(folder: Path, module: str, function: str) -> bytes:
    files = sorted((str(path.relative_to(folder)), path) for path in folder.rglob("*") if path.is_file())
    kept = [(name, path) for name, path in files if not UNSTABLE.search(name)]
    is_native = any(path.suffix in NATIVE for _, path in kept)
    version = tuple(sys.version_info[:2]) if is_native else None
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, path in kept:
            _add(archive, name, path.read_bytes())
        _add(archive, "__main__.py", MAIN.format(module=module, function=function, version=version).lstrip().encode())
    return content.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
