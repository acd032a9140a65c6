-- Requests that an ended run runs again.
insert into tidemill.requests (request_id, kind, run_id, downstream, note, payload)
values (gen_random_uuid()::text, 'rerun', %(run_id)s, %(downstream)s, %(note)s, %(payload)s)
returning request_id, run_id
