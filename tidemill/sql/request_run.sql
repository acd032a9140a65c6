-- Requests a run; the id is the idempotency key, so a second request changes nothing.
insert into tidemill.requests (request_id, job_id, dag_id, run_at, payload, traceparent)
values (%(request_id)s, %(job_id)s, %(dag_id)s, %(run_at)s, %(payload)s, %(traceparent)s)
on conflict do nothing
returning request_id
