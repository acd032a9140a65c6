select
    each.run_id, each.attempt, each.ended_as, each.reason_code as reason, each.exit_code, each.executor_id as executor,
    each.finished_at as ended, right(each.output, 200) as output
from tidemill.runs
join tidemill.attempts as each using (run_id, filed_on)
where runs.job_id = ${job_id:sqlstring}
    and $__timeFilter(runs.nominal_time)
    and each.ended_as <> 'succeeded'
order by each.finished_at desc
limit 50
