-- Who changed which job, DAG, node or member, and who asked for what, the newest first.
select *
from tidemill.audit_log
where (%(since)s::timestamptz is null or at >= %(since)s)
    and (%(owner)s::text is null or owner = %(owner)s)
    and (%(who)s::text is null or %(who)s in (login, actor))
order by at desc, number desc
limit %(limit)s
