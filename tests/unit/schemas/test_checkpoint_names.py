"""The names of checkpoints in S3: they say whose they are, and no two attempts share one."""

from __future__ import annotations

import pytest

from schemas.checkpoints import checkpoint_key, checkpoint_of


@pytest.mark.parametrize("run_id", ["job@2026-11-21T03:00:00Z", "täglich#a/b", "a.tar#..", "x%2Fy#1"])
def test_a_name_says_whose_it_is(run_id):
    key = checkpoint_key(run_id, 4711)
    assert key.count("/") == 2
    assert checkpoint_of(key) == checkpoint_of(f"s3://bucket/{key}") == (run_id, 4711)


@pytest.mark.parametrize(
    "key", ["checkpoints/a/7.tar-0b5e", "checkpoints/a/b.tar", "checkpoints/7.tar", "logs/a/7.tar"]
)
def test_what_is_no_checkpoint_or_only_half_written_is_none(key):
    assert checkpoint_of(key) is None
