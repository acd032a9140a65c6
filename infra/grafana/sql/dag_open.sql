select count(*) as open
from tidemill.runs
where job_id = ${dag_id:sqlstring} and kind = 'dag' and state in (open_states)
