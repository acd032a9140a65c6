"""`tidemill job put` as SQL: given options are set, others keep their value."""

from __future__ import annotations

import pytest

from schemas.settings import Connections
from tidemill.put import given, program, statement
from tidemill.target import UsageError


def sql(columns):
    return statement("nightly", columns).as_string(None)


def test_a_program_makes_the_row_or_changes_only_what_is_given():
    text = sql({"executable": "s3://b/k", "schedule": "@daily"})
    assert text.startswith(
        'insert into tidemill.jobs ("job_id", "executable", "schedule")\nvalues (\'nightly\', \'s3://b/k\''
    )
    assert text.count("@daily") == 2
    assert "on conflict (job_id) do update" in text


def test_without_a_program_it_changes_a_row_that_must_be_there():
    text = sql({"schedule": None})
    assert text.startswith('update tidemill.jobs set\n    "schedule" = NULL')
    assert "where job_id = 'nightly'" in text


def test_a_value_cannot_end_its_literal():
    assert "''; drop table" in sql({"schedule": "'; drop table tidemill.jobs; --"})


def test_an_option_that_is_not_given_is_no_column_and_an_empty_one_is_null():
    assert given({"schedule": "", "timeout": None, "max_attempts": 3}, []) == {"schedule": None, "max_attempts": 3}


def test_any_other_column_is_given_by_its_name():
    assert given({}, ["dst_gap=skip", "paused_note=a=b"]) == {"dst_gap": "skip", "paused_note": "a=b"}


@pytest.mark.parametrize(
    ("said", "count"),
    [("1048576", 1 << 20), ("512MB", 1 << 29), ("1.5 GiB", 3 << 29), ("4k", 4096), ("2 tb", 2 << 40), ("7B", 7)],
)
def test_a_size_has_a_unit_or_is_in_bytes(said, count):
    assert given({"memory": said}, [f"disk={said}"]) == {"memory": count, "disk": count}


@pytest.mark.parametrize("said", ["much", "1 EB", "-1MB", "1e9", "MB"])
def test_what_is_no_size_is_refused(said):
    with pytest.raises(UsageError, match=f"memory is '{said}': write a size such as 512MB or 2GB, or bytes"):
        given({"memory": said}, [])


def test_a_size_may_be_taken_back():
    assert given({"memory": ""}, ["disk="]) == {"memory": None, "disk": None}


def test_a_pair_without_a_name_or_an_equals_sign_is_refused():
    for pair in ("dst_gap", "=skip"):
        with pytest.raises(UsageError, match="NAME=VALUE"):
            given({}, [pair])


@pytest.mark.parametrize("column", ["version", "updated_at"])
def test_a_column_that_the_table_sets_itself_is_refused(column):
    with pytest.raises(UsageError, match=f"--set {column}=3 would be ignored: the table sets {column} itself"):
        given({}, [f"{column}=3"])


def test_an_object_in_s3_keeps_no_checksum_of_the_object_before_it():
    assert program(Connections(), "s3://b/k", None, None) == {"executable": "s3://b/k", "sha256": None}


def test_two_programs_are_refused():
    with pytest.raises(UsageError, match="exclude"):
        program(Connections(), "s3://b/k", "true", None)


def test_a_file_that_is_not_there_is_refused_before_anything_is_stored():
    with pytest.raises(UsageError, match="cannot be read"):
        program(Connections(), "no/such/file", None, None)
