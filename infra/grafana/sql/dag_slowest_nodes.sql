select node_id, percentile_cont(0.95) within group (order by extract(epoch from finished_at - started_at)) as p95
from tidemill.runs
where job_id = ${dag_id:sqlstring}
    and kind = 'node'
    and $__timeFilter(nominal_time)
    and finished_at is not null
    and started_at is not null
group by node_id
order by p95 desc
limit 15
