-- Of runs that were written; a transition never changes. Parameter: rows, as JSON.
insert into tidemill.transitions
select * from json_populate_recordset(null::tidemill.transitions, %(rows)s)
on conflict (run_id, version, nominal_time) do nothing
