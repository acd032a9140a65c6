-- How the processes of a job's or DAG's newest runs went, from the time on from which all rows are kept: before it only
-- failures are.
with recent as (
    select run_id, filed_on, node_id
    from tidemill.runs
    where job_id = %(owner)s and kind in ('scheduled', 'requested', 'backfilled', 'node') and attempt > 0
        and filed_on >= (tidemill.kept_from() at time zone 'UTC')::date
    order by nominal_time desc
    limit %(most)s
)
select recent.node_id, each.finished_at - each.started_at as takes, each.ended_as, each.exit_code
from recent
join tidemill.stories as story on story.run_id = recent.run_id and story.filed_on = recent.filed_on
cross join lateral unnest(story.attempts) as each
where each.ended_as in ('succeeded', 'failed', 'timed_out') and each.started_at is not null
    and each.finished_at is not null
order by recent.run_id, each.token
limit %(most)s
