-- Run again what has ended: the ids of the runs are given.
insert into tidemill.requests (request_id, kind, run_id, downstream, note)
select gen_random_uuid()::text, 'rerun', each, %(downstream)s, %(note)s
from unnest(%(run_ids)s::text[]) as each
returning request_id, run_id
