-- The newest runs of a job or DAG and of its nodes, as suggestions for an unknown id.
select run_id
from tidemill.runs
where job_id = %(owner)s
order by nominal_time desc, run_id
limit %(most)s
