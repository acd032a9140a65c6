-- The jobs and DAGs whose ids start with a text.
select job_id as name from tidemill.jobs where starts_with(job_id, %(begin)s)
union all
select dag_id from tidemill.dags where starts_with(dag_id, %(begin)s)
order by name
limit %(most)s
