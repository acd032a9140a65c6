-- Whether a name is a job or a DAG, and its time zone.
select 'job' as kind, timezone from tidemill.jobs where job_id = %(name)s
union all
select 'dag', timezone from tidemill.dags where dag_id = %(name)s
