-- The record of a range of occurrences that did not run, if a range covers a time.
select *
from tidemill.runs
where job_id = %(owner)s and nominal_time <= %(at)s and missed_to >= %(at)s and node_id is null
order by nominal_time desc
limit 1
