select $__timeGroupAlias(nominal_time, $__interval), state as metric, sum(coalesce(missed_count, 1)) as runs
from tidemill.runs
where job_id = ${dag_id:sqlstring} and kind = 'dag' and $__timeFilter(nominal_time)
group by 1, 2
order by 1
