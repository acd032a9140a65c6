-- Whether a name is that of a job or of a DAG.
select 'job' as kind from tidemill.jobs where job_id = %(name)s
union all
select 'dag' from tidemill.dags where dag_id = %(name)s
