-- The requests that made, stopped or repeated a run, and who made them.
select at, login, actor, door, request_id, after ->> 'kind' as kind, after ->> 'note' as note
from tidemill.audit_log
where kind = 'request' and owner = %(owner)s
    and (request_id = any (%(request_ids)s) or after ->> 'run_id' = %(run_id)s)
order by at desc, number desc
limit 20
