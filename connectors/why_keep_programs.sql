-- Why no program may be deleted: a sentence, or null. An open run may use a program that no kept version names, because its own
-- version is deleted, or its job was deleted long ago. After a restore the streams use versions that the tables do not have.
select coalesce(
    (select 'the tables were restored, and `tidemill restored` has not been run' from tidemill.restored limit 1),
    'run ' || min(run.run_id) || ' is open, and its definition is not kept any more'
)
from tidemill.runs as run
where run.state <> 'succeeded' and tidemill.is_open(run.state) and run.kind <> 'backfill' and not exists (
    select from tidemill.definitions as known
    where known.owner = run.job_id and known.spec is not null
        and (run.dag_version is null or known.version = run.dag_version)
)
