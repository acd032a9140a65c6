select job_id
from tidemill.jobs
where job_id ilike '%$__searchFilter%'
order by job_id
limit 1000
