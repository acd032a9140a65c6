select count(*) as open
from tidemill.runs
where job_id = ${job_id:sqlstring} and kind <> 'backfill' and state in (open_states)
