-- The history of one run, in order.
select version, at, state, attempt, reason from tidemill.transitions where run_id = %(run_id)s order by version
