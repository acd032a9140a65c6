"""Stores in S3 what an attempt left: its log, its checkpoint and its result."""

from __future__ import annotations

from executors.checkpoints import Checkpoints, leaves_checkpoint
from executors.in_hand import Attempt
from executors.results import Results, has_result


def has_to_keep(attempt: Attempt) -> bool:
    """Its process has ended, and its pipe is empty."""
    assert attempt.output is not None
    return (
        attempt.output.has_to_be_stored
        or leaves_checkpoint(attempt.exited, attempt.directory, attempt.dispatch.checkpoint)
        or has_result(attempt.exited, attempt.directory)
    )


async def keep(attempt: Attempt, checkpoints: Checkpoints, results: Results) -> None:
    """Each within its time limit."""
    assert attempt.output is not None
    directory, dispatch = attempt.directory, attempt.dispatch
    leaves = leaves_checkpoint(attempt.exited, directory, dispatch.checkpoint)
    if attempt.output.has_to_be_stored:
        await attempt.output.finish_log()
    if directory and leaves:
        attempt.checkpoint = await checkpoints.store(dispatch, directory, attempt.checkpoint)
    if directory and has_result(attempt.exited, directory):
        attempt.result = await results.collect(dispatch, directory, attempt.masker)
