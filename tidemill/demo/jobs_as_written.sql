-- What was asked for: from this, what was due is computed once more.
select job_id, schedule, timezone, starts_at, ends_at from tidemill.jobs
union all
select dag_id, schedule, timezone, starts_at, ends_at from tidemill.dags
order by job_id
