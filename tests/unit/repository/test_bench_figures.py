"""The figures of `make bench` have unique names, by which they are requested and stored."""

from __future__ import annotations

from collections import Counter

from bench.__main__ import FIGURES
from bench.report import MARKDOWN, load


def test_names_of_figures_are_unique():
    assert [name for name, count in Counter(each.name for each in FIGURES).items() if count > 1] == []


def test_the_table_of_results_has_each_figure_once_as_claimed():
    claims = {each.name: each.claim for each in FIGURES}
    kept = load(list(claims))
    assert [each.claim for each in kept] == [claims[each.name] for each in kept]
    text = MARKDOWN.read_text(encoding="utf-8")
    assert [each.name for each in kept if text.count(f"| `{each.name}`, ") != 1] == []
