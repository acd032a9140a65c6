-- Names of jobs and DAGs that are similar to an unknown name: of similar length, first those with the same first letter.
select name
from (select job_id as name from tidemill.jobs union all select dag_id from tidemill.dags) as known
where length(name) between length(%(name)s) - 3 and length(%(name)s) + 3 or starts_with(name, %(name)s)
order by left(name, 1) = left(%(name)s, 1) desc, name
limit %(most)s
