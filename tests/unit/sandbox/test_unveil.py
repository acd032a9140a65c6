"""What jobs may use besides their own directories."""

from __future__ import annotations

import os

import pytest

from executors.sandbox.landlock import CHANGE, READ, Access, Granted, LedOutError, Rule
from executors.sandbox.unveil import UnveilError, parse_list, rules_of


def test_a_list_has_rights_and_absolute_paths():
    assert parse_list(" r:/srv/www, rwx:/opt/a b ,") == ("r:/srv/www", "rwx:/opt/a b")
    assert parse_list("") == ()


@pytest.mark.parametrize("entry", ["/srv", "w:/srv", "rq:/srv", "rr:/srv", "r:srv", "r:/srv/../etc", "r:/srv/", "r:"])
def test_anything_else_is_refused_with_an_example(entry):
    with pytest.raises(UnveilError, match=r"r:/srv/www"):
        parse_list(entry)


def test_a_job_gets_what_lies_below_an_entry_of_the_list_with_no_more_rights(tmp_path):
    allowed = (f"rw:{tmp_path}", "rx:/opt")
    assert list(rules_of((f"r:{tmp_path}/a",), allowed)) == [
        Rule(path=f"{tmp_path}/a", access=READ, within=str(tmp_path))
    ]
    assert [each.access for each in rules_of((f"rw:{tmp_path}", "rx:/opt/x"), allowed)] == [
        READ | CHANGE,
        READ | Access.EXECUTE,
    ]
    for entry in (f"rx:{tmp_path}", f"r:{tmp_path}b", f"r:{tmp_path.parent}", "rwx:/opt"):
        with pytest.raises(UnveilError, match="is not allowed here"):
            list(rules_of((entry,), allowed))


def test_everything_lies_below_the_root():
    assert [each.path for each in rules_of(("r:/etc/x",), ("r:/",))] == ["/etc/x"]


def test_a_link_that_leads_out_of_the_allowed_directory_is_refused(tmp_path):
    outside, allowed = tmp_path / "outside", tmp_path / "allowed"
    for each in (outside, allowed):
        each.mkdir()
    (allowed / "link").symlink_to(outside)
    (allowed / "inner").symlink_to(".")
    (rule,) = rules_of((f"r:{allowed}/link",), (f"r:{allowed}",))
    with pytest.raises(LedOutError, match="outside"):
        Granted(rule)
    (rule,) = rules_of((f"r:{allowed}/inner",), (f"r:{allowed}",))
    Granted(rule).close()


def test_a_list_may_name_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (rule,) = rules_of((f"r:{tmp_path}/link",), (f"r:{tmp_path}/link",))
    Granted(rule).close()
    assert rule.within == os.path.realpath(tmp_path / "real")
