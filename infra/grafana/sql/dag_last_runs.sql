select
    job_id as dag_id, run_id, state, reason_code as reason, scheduled_time as scheduled,
    extract(epoch from finished_at - started_at) as took, nodes::text as nodes, dag_version as version, reason as why
from tidemill.runs
where job_id = ${dag_id:sqlstring} and kind = 'dag' and $__timeFilter(nominal_time)
order by nominal_time desc
limit 30
