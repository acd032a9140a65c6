-- A request that was made as a row.
select created_at, run_at
from tidemill.requests
where request_id = %(request_id)s and owner = %(owner)s
