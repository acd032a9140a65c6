select run_id, node_id, state, reason_code as reason, attempt as attempts, finished_at as ended, reason as why
from tidemill.runs
where job_id = ${dag_id:sqlstring}
    and kind = 'node'
    and $__timeFilter(nominal_time)
    and state in ('failed', 'timed_out', 'dead', 'upstream_failed')
order by nominal_time desc
limit 30
