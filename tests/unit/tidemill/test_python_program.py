"""A Python function becomes one executable file, with its project and its dependencies."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tidemill.python_program import pack
from tidemill.target import UsageError

REPORT = """
import json, pathlib
from tidemill.job import this_run
from shop.prices import PRICE

def main():
    words = json.loads((pathlib.Path(__file__).parent / "words.json").read_text())
    print(this_run.payload, PRICE, words)
    return {"rows": 3}

def nothing():
    print("no result")

def fails():
    raise SystemExit(7)

LIMIT = 3
"""


@pytest.fixture
def project(tmp_path):
    shop = tmp_path / "project" / "shop"
    shop.mkdir(parents=True)
    (shop / "__init__.py").write_text("")
    (shop / "prices.py").write_text("PRICE = 12")
    (shop / "report.py").write_text(REPORT)
    (shop / "words.json").write_text('["a"]')
    return tmp_path / "project"


@pytest.fixture
def run(tmp_path):
    def run(content):
        program, result = tmp_path / "program", tmp_path / "result"
        program.write_bytes(content)
        program.chmod(0o755)
        env = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin",
            "TMPDIR": str(tmp_path),
            "TIDEMILL_INPUT": "payload",
            "TIDEMILL_RESULT": str(result),
        }
        done = subprocess.run([program], env=env, cwd="/", input="[5]", capture_output=True, text=True, check=False)
        return done, result.read_text() if result.exists() else None

    return run


def test_the_function_runs_with_its_package_and_what_it_returns_is_the_result(project, run):
    done, result = run(pack("shop.report:main", project))
    assert (done.stdout, done.stderr, done.returncode) == ("[5] 12 ['a']\n", "", 0)
    assert result == '{"rows": 3}'


def test_a_function_that_returns_nothing_sets_no_result_and_one_that_fails_fails(project, run):
    assert run(pack("shop.report:nothing", project))[1] is None
    assert run(pack("shop.report:fails", project))[0].returncode == 7


def test_the_same_sources_are_the_same_bytes_and_another_source_is_another_program(project):
    first = pack("shop.report:main", project)
    os.utime(project / "shop" / "report.py", (0, 0))
    assert pack("shop.report:main", project) == first
    (project / "shop" / "prices.py").write_text("PRICE = 13")
    assert pack("shop.report:main", project) != first


def test_a_single_module_is_enough(tmp_path, run):
    (tmp_path / "alone.py").write_text("def main():\n    return 1\n")
    assert run(pack("alone:main", tmp_path))[1] == "1"


def test_requirements_are_installed_beside_it(project, run, tmp_path):
    library = a_library(tmp_path)
    (project / "requirements.txt").write_text(f"{library}\n")
    (project / "shop" / "uses.py").write_text(
        "import library_of_a_test\ndef main():\n    return library_of_a_test.VALUE\n"
    )
    assert run(pack("shop.uses:main", project))[1] == "42"


def test_a_project_is_installed_with_its_own_dependencies(tmp_path, run):
    assert run(pack("library_of_a_test:value", a_library(tmp_path)))[1] == "42"


BACKEND = """
import pathlib, zipfile

INFO = "library_of_a_test-1.dist-info"
METADATA = ["Metadata-Version: 2.1", "Name: library-of-a-test", "Version: 1", ""]
WHEEL = ["Wheel-Version: 1.0", "Root-Is-Purelib: true", "Tag: py3-none-any", ""]

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "library_of_a_test-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / name, "w") as wheel:
        wheel.write("library_of_a_test/__init__.py")
        wheel.writestr(f"{INFO}/METADATA", "\\n".join(METADATA))
        wheel.writestr(f"{INFO}/WHEEL", "\\n".join(WHEEL))
        wheel.writestr(f"{INFO}/RECORD", "")
    return name
"""


def a_library(tmp_path):
    """A project with a build backend of its own: pip needs no network to install it."""
    folder = tmp_path / "library"
    (folder / "library_of_a_test").mkdir(parents=True)
    (folder / "library_of_a_test" / "__init__.py").write_text("VALUE = 42\ndef value():\n    return VALUE\n")
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "library-of-a-test"\nversion = "1"\n'
    )
    return folder


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("shop.report", "is not of the form package.module:function"),
        ("shop.report:", "is not of the form"),
        ("other.report:main", "there is neither other/ nor other.py"),
        ("shop.none:main", "the module shop.none cannot be imported: ModuleNotFoundError"),
        ("shop.report:none", "the module shop.report has no function none"),
        ("shop.report:LIMIT", "the module shop.report has no function LIMIT"),
    ],
)
def test_what_cannot_be_packed_is_refused(project, target, sentence):
    with pytest.raises(UsageError, match=sentence):
        pack(target, project)


def test_requirements_that_cannot_be_installed_are_refused_with_what_pip_says(project, tmp_path):
    (project / "requirements.txt").write_text(f"{tmp_path}/none.whl\n")
    with pytest.raises(UsageError, match=r"pip cannot install .*requirements.txt: ERROR: .*none.whl"):
        pack("shop.report:main", project)


def test_a_program_with_compiled_modules_says_which_python_it_needs(project, run, tmp_path):
    (project / "shop" / "fast.so").write_bytes(b"")
    content = pack("shop.report:main", project)
    assert run(content)[1] == '{"rows": 3}'
    main = zipfile.ZipFile(io.BytesIO(content)).read("__main__.py").decode()
    elsewhere = main.replace("VERSION = ({}, {})".format(*sys.version_info[:2]), "VERSION = (2, 7)")
    done = subprocess.run([sys.executable, "-c", elsewhere], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("this program has compiled modules for Python 2.7, and python3 here is 3.")
