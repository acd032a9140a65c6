-- The newest DAG runs whose ids begin so.
select run_id as name
from tidemill.dag_runs
where starts_with(run_id, %(begin)s)
order by nominal_time desc
limit %(most)s
