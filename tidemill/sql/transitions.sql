-- The history of one run, in order.
select version, at, state, attempt, reason, reason_code
from tidemill.transitions
where run_id = %(run_id)s and filed_on = %(filed_on)s
order by version
