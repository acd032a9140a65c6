-- Runs whose history contradicts itself. Most runs have one attempt, so attempts are compared in pairs only if there are
-- more. `tolerance`: how far the clocks of two processes may differ.
select run.job_id as owner, run.run_id, run.nominal_time, wrong.finding, wrong.sentence
from tidemill.runs as run
join tidemill.stories as story on story.run_id = run.run_id and story.filed_on = run.filed_on
cross join lateral (
    select
        story.attempts[cardinality(story.attempts)] as latest,
        story.transitions[cardinality(story.transitions)] as moved,
        run.kind in ('dag', 'backfill') as has_no_process
) as last
cross join lateral (
    select 'status_lie' as finding, format('it is %%s, and its last transition is to %%s', run.state, (last.moved).state) as sentence
    where (last.moved).state is distinct from run.state and cardinality(story.transitions) > 0
    union all
    select 'status_lie', format('it is succeeded, and its last attempt is %%s', coalesce((last.latest).ended_as, 'open'))
    where run.state = 'succeeded' and not last.has_no_process
        and (last.latest).ended_as is distinct from 'succeeded' and run.reason_code is distinct from 'marked'
    union all
    select 'status_lie', format('it is %%s, and its last attempt has no end', run.state)
    where not tidemill.is_open(run.state) and run.state <> 'succeeded' and cardinality(story.attempts) > 0
        and (last.latest).ended_as is null
    union all
    select 'early', format(
        'it started at %%s, %%s before its scheduled time', (story.attempts[1]).started_at,
        run.scheduled_time - (story.attempts[1]).started_at)
    where (story.attempts[1]).started_at < run.scheduled_time - %(tolerance)s::interval and run.rerun_id is null
    union all
    select 'twice', format(
        'attempt %%s started at %%s, before attempt %%s (%%s) ended at %%s', each.attempt, each.started_at, each.before,
        each.ended_as, each.finished_at)
    from (
        select
            attempt, started_at,
            lag(attempt) over in_order as before, lag(ended_as) over in_order as ended_as,
            lag(finished_at) over in_order as finished_at, lag(token) over in_order as token_before, token
        from unnest(story.attempts)
        window in_order as (order by token)
    ) as each
    where cardinality(story.attempts) > 1 and each.ended_as is distinct from 'lost'  -- `audit_again.sql` names those
        and each.started_at < each.finished_at - %(tolerance)s::interval
) as wrong
where run.nominal_time > %(begin)s and run.nominal_time <= %(end)s
    and run.filed_on >= (%(begin)s at time zone 'UTC')::date - 1
    and (%(owner)s::text is null or run.job_id = %(owner)s)
    and (%(tenant)s::text is null or run.tenant = %(tenant)s)
limit %(most)s
