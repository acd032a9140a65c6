select $__timeGroupAlias(nominal_time, $__interval), sum(attempt) as attempts
from tidemill.runs
where job_id = ${job_id:sqlstring} and kind <> 'backfill' and $__timeFilter(nominal_time)
group by 1
order by 1
