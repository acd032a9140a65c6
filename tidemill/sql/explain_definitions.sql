-- The newest versions of a job or DAG, the newest first, without payload and nodes, which do not affect the schedule.
select
    kind, valid_from,
    (
        select json_object_agg(key, case when key = 'nodes' then '[]' else value end)
        from json_each(spec)
        where key <> 'payload'
    )::text as spec
from tidemill.definitions
where owner = %(owner)s
order by version desc
limit %(most)s
