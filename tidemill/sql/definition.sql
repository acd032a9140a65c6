-- The newest version of a job or DAG, and its spec as the stream workers read it.
select kind, version, valid_from, deleted, spec::text as spec
from tidemill.definitions
where owner = %(owner)s
order by version desc
limit 1
