"""A run's part of an S3 key fits S3, and tells the run."""

from __future__ import annotations

import hashlib

import pytest

from schemas.checkpoints import checkpoint_key, checkpoint_of
from schemas.log_chunks import chunk_key
from schemas.result import result_key, run_of_result
from schemas.run_names import MAX_NAME_BYTES, Shortened, name_of_run, run_of_name

LONG = "\N{SNOWMAN}" * 200 + "@2026-11-21T03:00:00Z"
LONGEST_KEY_BYTES = 1024


@pytest.mark.parametrize("run_id", ["job@2026-11-21T03:00:00Z", "täglich#a/b", "a!b" + "!" + "0" * 64, "x" * 240])
def test_a_short_id_is_read_from_its_name(run_id):
    assert run_of_name(name_of_run(run_id)) == run_id


@pytest.mark.parametrize("run_id", [LONG, "x" * 241, "y" + LONG, "\N{GRINNING FACE}" * 700])
def test_a_long_id_is_shortened_to_its_beginning_and_checksum(run_id):
    name = name_of_run(run_id)
    assert len(name) <= MAX_NAME_BYTES
    found = run_of_name(name)
    assert found == Shortened(found.beginning, hashlib.sha256(run_id.encode()).hexdigest())
    assert found.beginning
    assert run_id.startswith(found.beginning)


def test_ids_with_the_same_beginning_have_different_names():
    assert name_of_run(LONG) != name_of_run(LONG + "/n")


def test_keys_of_long_ids_fit_s3_and_tell_the_run():
    keys = [checkpoint_key(LONG, 2**63), result_key(LONG, 2**63), chunk_key(LONG, 99_999, 999_999)]
    assert max(len(each.encode()) for each in keys) < LONGEST_KEY_BYTES
    found = run_of_name(name_of_run(LONG))
    assert checkpoint_of(keys[0]) == (found, 2**63)
    assert run_of_result(f"s3://bucket/{keys[1]}") == found
