-- A run that is open and whose program no kept version names: its own version is gone, or its job was deleted long ago.
select min(run.run_id)
from tidemill.runs as run
where run.state <> 'succeeded' and tidemill.is_open(run.state) and run.kind <> 'backfill' and not exists (
    select from tidemill.definitions as known
    where known.owner = run.job_id and known.spec is not null
        and (run.dag_version is null or known.version = run.dag_version)
)
