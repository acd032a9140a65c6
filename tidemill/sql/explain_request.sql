-- A request, and the problem that says that it was refused, if it was.
select
    request.created_at, request.run_at, request.note,
    (
        select problem.reason
        from tidemill.problems as problem
        where problem.owner = %(owner)s and starts_with(problem.reason, format('request ''%%s'' is ', %(request_id)s::text))
        order by problem.at desc
        limit 1
    ) as refusal
from tidemill.requests as request
where request.request_id = %(request_id)s and request.owner = %(owner)s
