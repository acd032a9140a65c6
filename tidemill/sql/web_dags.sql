-- A page of DAGs, each with the number of its nodes and its newest run.
select
    dag.*, last.run_id as last_run, last.state as last_state, last.nominal_time as last_nominal_time,
    last.nodes as last_nodes, last.started_at as last_started_at, last.finished_at as last_finished_at,
    (select count(*) from tidemill.dag_nodes as node where node.dag_id = dag.dag_id) as nodes
from (
    select *
    from tidemill.dags
    where (%(tenant)s::text is null or tenant = %(tenant)s) and (%(after)s::text is null or dag_id > %(after)s)
    order by dag_id
    limit %(limit)s
) as dag
left join lateral (
    select run_id, state, nominal_time, nodes, started_at, finished_at
    from tidemill.runs
    where runs.job_id = dag.dag_id and runs.kind = 'dag'
    order by nominal_time desc
    limit 1
) as last on true
order by dag.dag_id
