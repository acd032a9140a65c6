-- The schedules that make jobs and DAGs due, the most common ones first, each with the number of its owners and the first
-- of their names. The start of a job is the phase of `@every` only.
select
    schedule, timezone, dst_gap, dst_fold, phase, count(*) as owners, min(owner) as example,
    count(*) over () as schedules
from (
    select
        job_id as owner, schedule, timezone, dst_gap, dst_fold, starts_at, ends_at, paused,
        case when starts_with(schedule, '@every') then starts_at end as phase
    from tidemill.jobs
    union all
    select
        dag_id, schedule, timezone, dst_gap, dst_fold, starts_at, ends_at, paused,
        case when starts_with(schedule, '@every') then starts_at end
    from tidemill.dags
) as owned
where schedule is not null and not paused
    and (starts_at is null or starts_at < clock_timestamp() + interval '7 days')
    and (ends_at is null or ends_at > clock_timestamp())
group by schedule, timezone, dst_gap, dst_fold, phase
order by owners desc, schedule, timezone
limit %(most)s
