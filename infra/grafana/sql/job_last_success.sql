select extract(epoch from finished_at) * 1000 as last
from tidemill.runs
where job_id = ${job_id:sqlstring} and kind <> 'backfill' and state = 'succeeded'
order by nominal_time desc
limit 1
