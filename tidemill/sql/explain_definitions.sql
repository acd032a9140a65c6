-- The newest versions of a job or DAG, the newest first; without the nodes of a DAG, which say nothing about time.
select kind, valid_from, spec - 'nodes' as spec
from tidemill.definitions
where owner = %(owner)s
order by version desc
limit %(most)s
