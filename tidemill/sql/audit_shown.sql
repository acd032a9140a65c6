-- The version and state of runs in the read model.
select asked.run_id, run.version, run.state
from unnest(%(run_ids)s::text[]) as asked (run_id)
cross join lateral (
    select version, state from tidemill.runs where run_id = asked.run_id order by version desc limit 1
) as run
