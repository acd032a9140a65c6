-- The newest DAG runs whose ids begin so: looked for among the newest ones only, so that it takes no time.
select run_id as name
from (select run_id, nominal_time from tidemill.dag_runs order by nominal_time desc limit 5000) as newest
where starts_with(run_id, %(begin)s)
order by nominal_time desc
limit %(most)s
