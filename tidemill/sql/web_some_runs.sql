-- The newest runs of a filter, among the first candidates of an index, for an action on all of them.
with candidate as materialized (
    select *
    from ({candidates}) as found
    order by nominal_time desc, run_id
    limit %(scan)s
)
select
    run_id, job_id, dag_id, kind, state, reason, nominal_time, scheduled_time, queued_at, finished_at, missed_count,
    (select count(*) from candidate) as candidates
from candidate
where {conditions}
order by nominal_time desc, run_id
limit %(limit)s
