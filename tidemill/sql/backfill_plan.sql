-- The newest definition of a job or DAG and the occurrences that have run, from which a backfill is planned.
select kind, spec::text as spec, tidemill.ran(%(owner)s, %(backfill_from)s, %(backfill_to)s, %(reprocess)s) as ran
from tidemill.definitions
where owner = %(owner)s and version = (select max(version) from tidemill.definitions where owner = %(owner)s)
    and not deleted
