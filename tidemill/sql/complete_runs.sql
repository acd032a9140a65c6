-- The newest runs whose ids start with a text; only the newest 5,000 are searched, so that it is fast.
select run_id as name
from (select run_id, nominal_time from tidemill.runs order by nominal_time desc limit 5000) as newest
where starts_with(run_id, %(begin)s)
order by nominal_time desc
limit %(most)s
