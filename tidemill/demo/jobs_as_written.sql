-- The schedules of jobs and DAGs, from which the demo computes what was due.
select job_id, schedule, timezone, starts_at, ends_at from tidemill.jobs
union all
select dag_id, schedule, timezone, starts_at, ends_at from tidemill.dags
order by job_id
