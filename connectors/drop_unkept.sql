-- A record says all that is kept of its run (protocol S1), so what it leaves out goes: the tables are the same whether
-- every record of a run was read or only its last. What is older than the first version that it kept is the story of the
-- run before it was asked to run again, and stays. Parameter: rows, as JSON, of the runs that were written.
with kept as materialized (
    select *, versions[1] as born from json_to_recordset(%(rows)s)
    as kept (run_id text, nominal_time timestamptz, versions bigint[], tokens bigint[])
),

dropped_attempts as (
    delete from tidemill.attempts as known
    using kept
    where
        known.run_id = kept.run_id
        and known.nominal_time = kept.nominal_time
        and known.token >= kept.born
        and known.token <> all (kept.tokens)
)

delete from tidemill.transitions as known
using kept
where
    known.run_id = kept.run_id
    and known.nominal_time = kept.nominal_time
    and known.version >= kept.born
    and known.version <> all (kept.versions)
