-- Requests for runs that have neither a run nor a problem that says why not.
select request.owner, request.request_id, request.created_at
from tidemill.requests as request
where request.kind = 'run' and request.created_at > %(begin)s and request.created_at <= %(end)s
    and (%(owner)s::text is null or request.owner = %(owner)s)
    -- A request has no tenant; its job or DAG has, also one that is deleted.
    and (%(tenant)s::text is null or %(tenant)s = (
        select definition.spec ->> 'tenant'
        from tidemill.definitions as definition
        where definition.owner = request.owner and not definition.deleted
        order by definition.version desc
        limit 1
    ))
    and not exists (
        select from tidemill.runs
        where run_id = request.owner || '#' || request.request_id
            and filed_on >= (request.created_at at time zone 'UTC')::date - 1
    )
    and not exists (
        select from tidemill.problems
        where owner = request.owner and request_id = request.request_id
            and at >= request.created_at - interval '1 day'
    )
order by request.created_at, request.owner
limit %(most)s
