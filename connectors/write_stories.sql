-- The attempts and transitions of the written runs. A record contains everything that is kept of its run (protocol S1), so it
-- replaces the stored ones: the result is the same if every record of a run was read, or only its last. Attempts and transitions
-- older than the record's first version are from before a rerun, and stay. Parameter: rows, as JSON.
insert into tidemill.stories as known (run_id, filed_on, nominal_time, job_id, attempts, transitions)
select run_id, filed_on, nominal_time, job_id, attempts, transitions
from json_populate_recordset(null::tidemill.stories, %(rows)s)
on conflict (run_id, filed_on) do update set
    attempts = array(
        select each from unnest(known.attempts) as each where each.token < excluded.transitions[1].version
    ) || excluded.attempts,
    transitions = array(
        select each from unnest(known.transitions) as each where each.version < excluded.transitions[1].version
    ) || excluded.transitions
