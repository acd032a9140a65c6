-- The newest run of a job or DAG, without nodes and backfills; with `started`, the newest run that has started.
select *
from tidemill.runs
where job_id = %(owner)s and node_id is null and kind <> 'backfill'
    and (not %(started)s or started_at is not null or kind = 'dag')
order by nominal_time desc, run_id
limit 1
