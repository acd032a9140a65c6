select nominal_time as time, node_id as metric, state_number(state) as value
from tidemill.runs
where job_id = ${dag_id:sqlstring} and kind = 'node' and $__timeFilter(nominal_time)
order by nominal_time
limit 5000
