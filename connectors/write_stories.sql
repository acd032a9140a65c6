-- Of runs that were written. A record says all that is kept of its run (protocol S1), so what it leaves out goes: the tables
-- are the same whether every record of a run was read or only its last. What is older than the first version that it kept
-- is the story of the run before it was asked to run again, and stays. Parameter: rows, as JSON.
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
