-- The newest versions of a job or DAG, the newest first.
select version, valid_from, deleted, spec
from tidemill.definitions
where owner = %(owner)s and kind = %(kind)s and (%(before)s::bigint is null or version < %(before)s)
order by version desc
limit %(limit)s
