-- The newest runs whose ids begin so: looked for among the newest ones only, so that it takes no time.
select run_id as name
from (select run_id, scheduled_time from tidemill.runs order by scheduled_time desc limit 10000) as newest
where starts_with(run_id, %(begin)s)
order by scheduled_time desc
limit %(most)s
