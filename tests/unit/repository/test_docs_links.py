"""Every page of the documentation is reachable from docs/README.md, every link leads to a file and a heading, and
README.md names what a job can say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.job import JobSpec
from tests.unit.repository.test_tidy import tracked_files

ROOT = Path(__file__).parents[3]
PAGES = sorted(path for path in tracked_files() if path.suffix == ".md")
INDEX = ROOT / "docs" / "README.md"
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def prose(page: Path) -> str:
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Each relative link as path and heading."""
    for target in LINK.findall(re.sub(r"`[^`\n]*`", "`code`", prose(page))):
        if "://" not in target and not target.startswith("mailto:"):
            path, _, anchor = target.partition("#")
            yield ((page.parent / path).resolve() if path else page), anchor


def anchors(page: Path) -> set[str]:
    """The anchors of headings, as repository hosts generate them."""
    found: dict[str, int] = {}
    for heading in HEADING.findall(prose(page)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return {slug if number == 0 else f"{slug}-{number}" for slug, count in found.items() for number in range(count + 1)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_a_heading(page):
    dead = [
        f"{path}#{anchor}" if anchor else str(path)
        for path, anchor in links(page)
        if not path.exists() or (anchor and anchor not in anchors(path))
    ]
    assert dead == []


def test_every_page_is_reachable_from_the_index():
    seen, waiting = {INDEX}, [INDEX]
    while waiting:
        found = {path for path, _ in links(waiting.pop()) if path.suffix == ".md" and path.exists()} - seen
        seen |= found
        waiting += found
    pages = {page for page in PAGES if page.is_relative_to(ROOT / "docs") or page.parent == ROOT}
    assert {page.relative_to(ROOT).as_posix() for page in pages - seen} == set()


def test_the_index_names_every_page_except_decisions():
    named = {path for path, _ in links(INDEX)} | {INDEX}
    assert {page.name for page in (ROOT / "docs").glob("*.md") if page not in named} == set()


def test_the_list_of_decisions_names_each_with_its_own_title():
    listing = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    pages = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    titles = [(page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# "), page.name) for page in pages]
    assert re.findall(r"^- \[(.+)\]\((.+)\)$", listing, re.MULTILINE) == titles


def test_the_readme_names_each_column_of_a_job():
    _, _, section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## What a job can say\n")
    named = set(re.findall(r"`(\w+)`", section.partition("\n## ")[0]))
    assert set(JobSpec.__struct_fields__) - named == {"job_id"}
