-- The jobs and DAGs with runs that failed or were missed since a time, the latest failure first. Only the newest runs of
-- each state are read. A run of a node counts for its DAG run.
with unfortunate as (
    (
        select job_id, dag_id, node_id, run_id, state, reason, finished_at
        from tidemill.runs
        where state = 'failed' and nominal_time > %(since)s::timestamptz - interval '7 days'
        order by nominal_time desc
        limit %(most)s
    )
    union all
    (
        select job_id, dag_id, node_id, run_id, state, reason, finished_at
        from tidemill.runs
        where state = 'timed_out' and nominal_time > %(since)s::timestamptz - interval '7 days'
        order by nominal_time desc
        limit %(most)s
    )
    union all
    (
        select job_id, dag_id, node_id, run_id, state, reason, finished_at
        from tidemill.runs
        where state = 'dead' and nominal_time > %(since)s::timestamptz - interval '7 days'
        order by nominal_time desc
        limit %(most)s
    )
    union all
    (
        select job_id, dag_id, node_id, run_id, state, reason, finished_at
        from tidemill.runs
        where state = 'missed' and nominal_time > %(since)s::timestamptz - interval '7 days'
        order by nominal_time desc
        limit %(most)s
    )
)
select
    job_id, bool_or(dag_id is not null) as is_dag, count(*) as failures, max(finished_at) as last_at,
    (array_agg(run_id order by finished_at desc))[1] as run_id,
    (array_agg(state order by finished_at desc))[1] as state,
    (array_agg(reason order by finished_at desc))[1] as reason,
    sum(count(*)) over () as all_failures
from unfortunate
where finished_at >= %(since)s and node_id is null
group by job_id
order by last_at desc
limit 12
