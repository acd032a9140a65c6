-- Attempts that were lost after their process had started, and the next attempt of the run: the job was executed again.
-- Few runs have a second attempt: `run.attempt` spares the others a look at their story.
select
    run.job_id as owner, run.run_id, run.nominal_time, each.attempt, each.token, each.executor_id, each.reason_code,
    each.finished_at as lost_at, each.next_attempt, each.next_started_at
from tidemill.runs as run
join tidemill.stories as story on story.run_id = run.run_id and story.filed_on = run.filed_on
cross join lateral (
    select
        attempt, token, executor_id, reason_code, finished_at, started_at, ended_as,
        lead(attempt) over in_order as next_attempt, lead(started_at) over in_order as next_started_at
    from unnest(story.attempts)
    where started_at is not null
    window in_order as (order by token)
) as each
where run.attempt > 1 and cardinality(story.attempts) > 1 and each.ended_as = 'lost' and each.next_attempt is not null
    and run.nominal_time > %(begin)s and run.nominal_time <= %(end)s
    and run.filed_on >= (%(begin)s at time zone 'UTC')::date - 1
    and (%(owner)s::text is null or run.job_id = %(owner)s)
    and (%(tenant)s::text is null or run.tenant = %(tenant)s)
order by each.next_started_at, run.run_id
limit %(most)s
