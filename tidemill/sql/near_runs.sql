-- The newest runs of a job or DAG and of its nodes, as far as they may be meant by an id that is not there.
select run_id
from tidemill.runs
where job_id = %(owner)s
order by nominal_time desc, run_id
limit %(most)s
