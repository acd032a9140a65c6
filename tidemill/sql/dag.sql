-- One DAG.
select * from tidemill.dags where dag_id = %(dag_id)s
