select each.at as time, runs.job_id as metric, state_number(each.state) as value
from tidemill.runs
join tidemill.transitions as each using (run_id, filed_on)
where runs.job_id = ${job_id:sqlstring}
    and runs.kind <> 'backfill'
    and $__timeFilter(runs.nominal_time)
order by each.at
limit 5000
