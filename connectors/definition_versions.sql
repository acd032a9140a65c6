select job_id as owner, 'job' as kind, version from tidemill.jobs
union all
select dag_id, 'dag', version from tidemill.dags where version is not null
