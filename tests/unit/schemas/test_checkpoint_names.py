"""The names of checkpoints in S3 tell run and attempt, and are unique per attempt."""

from __future__ import annotations

import pytest

from schemas.checkpoints import checkpoint_key, checkpoint_of


@pytest.mark.parametrize("run_id", ["job@2026-11-21T03:00:00Z", "täglich#a/b", "a.tar#..", "x%2Fy#1"])
def test_a_checkpoints_name_tells_its_run_and_attempt(run_id):
    key = checkpoint_key(run_id, 4711)
    assert key.count("/") == 2
    assert checkpoint_of(key) == checkpoint_of(f"s3://bucket/{key}") == (run_id, 4711)


@pytest.mark.parametrize(
    "key", ["checkpoints/a/7.tar-0b5e", "checkpoints/a/b.tar", "checkpoints/7.tar", "logs/a/7.tar"]
)
def test_other_and_half_written_objects_are_no_checkpoints(key):
    assert checkpoint_of(key) is None
