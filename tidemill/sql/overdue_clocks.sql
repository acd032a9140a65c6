-- A page of the jobs and DAGs that a schedule makes due, with what decides when.
select owner, version, schedule, timezone, dst_gap, dst_fold, starts_at, ends_at
from (
    select job_id as owner, version, schedule, timezone, dst_gap, dst_fold, starts_at, ends_at, paused from tidemill.jobs
    union all
    select dag_id as owner, version, schedule, timezone, dst_gap, dst_fold, starts_at, ends_at, paused from tidemill.dags
) as owned
where owner > %(after)s and schedule is not null and not paused
order by owner
limit %(limit)s
