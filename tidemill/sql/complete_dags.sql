-- The DAGs whose ids start with a text.
select dag_id as name from tidemill.dags where starts_with(dag_id, %(begin)s) order by dag_id limit %(most)s
