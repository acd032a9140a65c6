"""docs/protocol.md against the tree: cited rules exist, and so do the code and tests that a rule names."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "protocol.md"
CODE = ("schemas", "observe", "connectors", "streams", "executors", "tidemill", "infra")
OTHERS = ("tests", "bench", "examples", "docs")
SUFFIXES = {".py", ".sql", ".md", ".json"}
FIELDS = ("Rule", "Code", "Prevents", "Held by")

ID = r"[IODLTS][1-9]\d?"
CITED = re.compile(rf"\b[Pp]rotocol\s+({ID}(?:(?:,|,?\s+and)\s+{ID})*)(?!\w)")
BARE = re.compile(rf"(?<!\w)(?!S3\b){ID}(?!\w)")
"""`S3` is the object store and no rule."""
HEADING = re.compile(rf"^### ({ID})\. (.+)$", re.MULTILINE)
FIELD = re.compile(r"^\*\*([\w ]+)\.\*\*", re.MULTILINE)
QUOTED = re.compile(r"`([^`\n]+)`")
A_PATH = re.compile(r"(?:\w+/)+[\w.-]+\.(?:py|sql|md|json)")
A_TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
A_NAME = re.compile(r"(?!TIDEMILL_)[A-Z]+_[A-Z_]+|[A-Z]\w*\.\w+")
"""A constant, or a field of a class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    id: str
    title: str
    fields: dict[str, str]

    @property
    def code(self) -> list[str]:
        return QUOTED.findall(self.fields["Code"])

    @property
    def tests(self) -> list[tuple[str, str]]:
        return A_TEST.findall(self.fields["Held by"])


def parts(pattern: re.Pattern[str], text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Each match, with the text up to the next one."""
    found = list(pattern.finditer(text))
    ends = [each.start() for each in found[1:]] + [len(text)]
    return ((match, text[match.end() : end]) for match, end in zip(found, ends, strict=True))


def rules_of(text: str) -> list[Rule]:
    rules = []
    for heading, rest in parts(HEADING, text):
        body = re.split(r"^## ", rest, flags=re.MULTILINE)[0]
        fields = {match[1]: said.strip() for match, said in parts(FIELD, body)}
        rules.append(Rule(id=heading[1], title=heading[2], fields=fields))
    return rules


RULES = rules_of(DOCUMENT.read_text(encoding="utf-8"))
IDS = {each.id for each in RULES}
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda each: each.id)


def files() -> Iterator[Path]:
    yield from (ROOT / "README.md", ROOT / "pyproject.toml")
    for folder in CODE + OTHERS:
        yield from (path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in SUFFIXES)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def cited_in(name: str) -> frozenset[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return frozenset(found for match in CITED.finditer(text) for found in re.findall(ID, match[1]))


def prose(path: Path) -> str:
    """The text that may cite a rule: comments and docstrings of a program, else the whole file."""
    text = path.read_text(encoding="utf-8")
    if not BARE.search(CITED.sub("", text)):
        return ""  # no citation; parsing every file would take long
    match path.suffix:
        case ".py":
            said = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Expr))
            docstrings = [each.value for each in said if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            tokens = tokenize.generate_tokens(io.StringIO(text).readline)
            return "\n".join([*docstrings, *(each.string for each in tokens if each.type == tokenize.COMMENT)])
        case ".sql":
            return "\n".join(re.findall(r"--.*", text))
        case _:
            return text


def test_every_cited_rule_is_in_the_document():
    unknown = {f"{name_of(path)}: {each}" for path in files() for each in cited_in(name_of(path)) - IDS}
    assert not unknown, "docs/protocol.md has no such rule"


def test_rules_are_cited_in_one_form():
    """Then a search for `protocol O3` finds all citations."""
    bare = {
        f"{name_of(path)}: {each}"
        for path in files()
        if path != DOCUMENT
        for each in BARE.findall(CITED.sub("", prose(path)))
    }
    assert not bare, "write `protocol O3`, or `protocol O3, L2`: the word and the ids, in one line"


def test_the_document_names_only_rules_that_it_has():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert set(BARE.findall(text)) == IDS


def test_ids_are_unique_and_in_order():
    letters = [each.id[0] for each in RULES]
    assert letters == sorted(letters, key="IODLTS".index)
    for letter in set(letters):
        numbers = [int(each.id[1:]) for each in RULES if each.id[0] == letter]
        assert numbers == sorted(set(numbers))


@each_rule
def test_a_rule_has_all_its_fields(rule):
    assert tuple(rule.fields) == FIELDS
    assert all(rule.fields.values())


@each_rule
def test_the_code_of_a_rule_exists_and_cites_the_rule(rule):
    assert rule.code
    assert [path for path in rule.code if not (ROOT / path).is_file()] == []
    assert any(rule.id in cited_in(path) for path in rule.code if path.startswith(CODE))


@each_rule
def test_the_tests_of_a_rule_exist(rule):
    assert rule.tests
    for path, function in rule.tests:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, FUNCTION)}, path


@each_rule
def test_constants_and_fields_of_a_rule_are_in_its_code(rule):
    code = "\n".join((ROOT / path).read_text(encoding="utf-8") for path in rule.code)
    names = {each.rpartition(".")[2] for each in QUOTED.findall(rule.fields["Rule"]) if A_NAME.fullmatch(each)}
    assert [each for each in sorted(names) if not re.search(rf"\b{each}\b", code)] == []


def test_every_path_in_the_document_exists():
    text = DOCUMENT.read_text(encoding="utf-8")
    paths = [each.partition("::")[0] for each in QUOTED.findall(text)]
    assert [path for path in paths if A_PATH.fullmatch(path) and not (ROOT / path).exists()] == []


def test_the_tests_that_the_page_on_reliability_names_exist():
    """A history that once broke the promise is not forgotten by a renamed test."""
    named = A_TEST.findall((ROOT / "docs" / "reliability.md").read_text(encoding="utf-8"))
    assert named
    assert [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text("utf-8")] == []


def test_a_wrong_citation_is_found():
    both = "as protocol {0}3, {1}2 and {0}14 say, and {0}5 too; {2}3 is the store, {3}0 a time, UTF-8 an encoding"
    text = both.format("O", "L", "S", "T")
    assert re.findall(ID, CITED.findall(text)[0]) == ["O" + "3", "L" + "2", "O" + "14"]
    assert BARE.findall(CITED.sub("", text)) == ["O" + "5"]
