-- Occurrences that started while another run of their job ran, although the job's policy forbids that. Backfills have
-- a limit of their own, and whoever asks for a run or a rerun gets it at once. The end of a lost attempt is only noticed:
-- its process had ended before its lease.
with spans as (
    select run.job_id, run.run_id, run.kind, run.rerun_id, run.nominal_time, each.started_at,
        case when each.ended_as is distinct from 'lost' then each.finished_at end as finished_at
    from tidemill.runs as run
    join tidemill.stories as story on story.run_id = run.run_id and story.filed_on = run.filed_on
    cross join lateral unnest(story.attempts) as each
    where run.kind in ('scheduled', 'requested') and run.job_id = any (%(owners)s)
        and run.nominal_time > %(begin)s and run.nominal_time <= %(end)s
        and run.filed_on >= (%(begin)s at time zone 'UTC')::date - 1
        and each.started_at is not null
), beside as (
    select
        *,
        max(finished_at) over earlier as busy_until,
        lag(run_id) over (partition by job_id order by started_at) as other
    from spans
    window earlier as (
        -- From the first row on: for a moving begin, Postgres computes each maximum anew.
        partition by job_id order by started_at rows between unbounded preceding and 1 preceding)
)
select job_id as owner, run_id, nominal_time, started_at, busy_until, other
from beside
where kind = 'scheduled' and rerun_id is null and other <> run_id
    and busy_until > started_at + %(tolerance)s::interval
order by started_at
limit %(most)s
