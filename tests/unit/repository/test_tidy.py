"""House rules that a machine can check: short functions and files, nothing of one machine in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LONGEST_FUNCTION = 40
LONGEST_FILE = 400
LONGEST_LINE = 120
PRAGMA = re.compile(r"\s+# (?:noqa|type): .*")

# Exceptions that read best as one piece: path or path::function, and the reason.
MAY_BE_LONG: dict[str, str] = {}

BUILT_FOLDERS = {".git", ".venv", ".tidemill", "__pycache__"}
BINARY_SUFFIXES = {".png", ".jpg", ".gif", ".ico"}

# Concatenated, so that this file itself does not contain the names.
REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("files", "python" + "hosted", "org"),
        ("registry", "npmjs", "org"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("repo1", "maven", "org"),
        ("repo", "maven", "apache", "org"),
        ("deb", "debian", "org"),
    )
)
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:work|root|home|Users)/\w+")


def tracked_files() -> list[Path]:
    """Tracked and new files; without git, all files."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode == 0:
        return [path for name in listing.stdout.splitlines() if (path := ROOT / name).is_file()]
    return [path for path in ROOT.rglob("*") if path.is_file() and not BUILT_FOLDERS & set(path.parts)]


FILES = tracked_files()
PYTHON_FILES = [path for path in FILES if path.suffix == ".py"]
TEXT_FILES = [path for path in FILES if path.suffix not in BINARY_SUFFIXES]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function's name and its lines, from `def` to its end."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def matches(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name_of(path)}:{number}: {found[0]}"
        for path in TEXT_FILES
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if (found := pattern.search(line))
    ]


def test_no_function_is_longer_than_40_lines():
    long = [
        f"{name_of(path)}::{name} has {lines} lines"
        for path in PYTHON_FILES
        for name, lines in functions(path)
        if lines > LONGEST_FUNCTION and f"{name_of(path)}::{name}" not in MAY_BE_LONG
    ]
    assert long == []


def test_no_file_is_longer_than_400_lines():
    counts = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in PYTHON_FILES}
    long = [f"{name}: {count}" for name, count in counts.items() if count > LONGEST_FILE and name not in MAY_BE_LONG]
    assert long == []


def test_no_line_is_longer_than_120_characters():
    """Counts as ruff does: a pragma and its reason do not count."""
    long = [
        f"{name_of(path)}:{number}"
        for path in PYTHON_FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(PRAGMA.sub("", line)) > LONGEST_LINE
    ]
    assert long == []


def test_every_exception_from_the_lengths_exists_and_has_a_reason():
    names = {name_of(path) for path in PYTHON_FILES}
    gone = [each for each, reason in MAY_BE_LONG.items() if each.partition("::")[0] not in names or not reason]
    assert gone == []


def test_there_is_no_init_file_below_tests():
    assert [name_of(path) for path in PYTHON_FILES if path.name == "__init__.py" and "tests" in path.parts] == []


def test_every_file_opens_with_a_sentence_on_its_purpose():
    silent = [name_of(path) for path in PYTHON_FILES if not opens_with_a_sentence(path)]
    assert silent == []


def opens_with_a_sentence(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    if path.name == "__init__.py" and not text.strip():
        return True
    first = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0]
    return len(first) > 10 and first.endswith((".", "`."))


@pytest.mark.parametrize("host", REGISTRIES)
def test_no_file_names_a_package_registry(host: str):
    assert matches(re.compile(rf"(?<![\w-]){re.escape(host)}(?![\w-])")) == []


def test_no_file_names_a_path_of_one_machine():
    assert matches(MACHINE_PATH) == []
