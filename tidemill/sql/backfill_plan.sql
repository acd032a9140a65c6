-- What the owner of a job or DAG goes by when it plans a backfill: the newest definition, and what has run already.
select kind, spec::text as spec, tidemill.ran(%(owner)s, %(backfill_from)s, %(backfill_to)s, %(reprocess)s) as ran
from tidemill.definitions
where owner = %(owner)s and version = (select max(version) from tidemill.definitions where owner = %(owner)s)
    and not deleted
