-- Whether a name is that of a job or of a DAG, and on whose clocks it is due.
select 'job' as kind, timezone from tidemill.jobs where job_id = %(name)s
union all
select 'dag', timezone from tidemill.dags where dag_id = %(name)s
