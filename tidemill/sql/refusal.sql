-- The problem that reports why a request has no run: it was refused, or its record could not be decoded. In that case the
-- record's text names the request. A record of the topic may have any key: with `everywhere`, the problems of all owners
-- are searched for it.
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
