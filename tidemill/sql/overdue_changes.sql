-- The jobs and DAGs that changed after a time; without a schedule or paused ones too.
select owner, version, case when paused then null else schedule end as schedule, timezone, dst_gap, dst_fold, starts_at, ends_at
from (
    select
        job_id as owner, version, schedule, timezone, dst_gap, dst_fold, starts_at, ends_at, paused, updated_at
    from tidemill.jobs
    union all
    select
        dag_id as owner, version, schedule, timezone, dst_gap, dst_fold, starts_at, ends_at, paused, updated_at
    from tidemill.dags
) as owned
where updated_at > %(since)s
