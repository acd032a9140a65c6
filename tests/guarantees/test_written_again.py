"""The tables are emptied: the sink reads its topics again and writes the same rows."""

from __future__ import annotations

import pytest

from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

REPLAY_SECONDS = 120
TABLES = {
    "runs": "run_id, version, state, attempt, started_at, finished_at, reason, exit_code",
    "attempts": "run_id, attempt, token, ended_as, started_at, output",
    "transitions": "run_id, version, state, at",
    "problems": "owner, reason, source_offset",
}
BEHIND = """
select count(*) as n from sink_offsets
join unnest(%s::text[], %s::int[], %s::bigint[]) as was (topic, partition, next_offset) using (topic, partition)
where sink_offsets.next_offset < was.next_offset
"""


def contents(stack):
    return {name: stack.rows(f"select {columns} from {name} order by {columns}") for name, columns in TABLES.items()}


def test_the_sink_rebuilds_the_same_tables_from_offset_zero(stack, name):
    stack.put_job(name, stack.put_script(name, "true"))
    stack.wait_until_final(stack.request(name, f"{name}r"))
    ends = stack.rows("select topic, partition, next_offset from sink_offsets")
    before = contents(stack)
    with stack.database.transaction():
        stack.database.execute("set local tidemill.sink = 'on'")
        stack.database.execute("update sink_offsets set next_offset = 0")
        stack.database.execute("truncate runs, stories, problems")
    stack.wait_for_restart("sink", stack.kill("sink"))
    columns = [[each[column] for each in ends] for column in ("topic", "partition", "next_offset")]
    eventually(lambda: stack.rows(BEHIND, columns)[0]["n"] == 0, REPLAY_SECONDS, "the end of the replay")
    assert contents(stack) == before
