-- The problem that says why nothing comes of a request, if there is one: it was refused, or nobody could read it, and then
-- the record itself says which request it was. The key of what came by topic may be anything: such records are looked for
-- everywhere, if asked.
select at, reason
from tidemill.problems
where (
    owner = %(owner)s
    or %(everywhere)s and code in ('record_refused', 'record_failed') and strpos(record, to_json(%(owner)s::text)::text) > 0
) and (
    code = 'request_refused' and request_id = %(request_id)s
    or code in ('record_refused', 'record_failed')
        and strpos(
            regexp_replace(record, '"request_id"\s*:\s*', '"request_id":', 'g'),
            '"request_id":' || to_json(%(request_id)s::text)) > 0
)
order by at desc
limit 1
