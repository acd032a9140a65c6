select extract(epoch from max(finished_at)) * 1000 as last
from tidemill.runs
where job_id = ${job_id:sqlstring} and kind <> 'backfill' and state = 'succeeded'
