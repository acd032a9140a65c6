-- Requests that a node of a DAG run is marked as succeeded or skipped.
insert into tidemill.requests (request_id, kind, run_id, mark_as, note)
values (%(request_id)s, 'mark', %(run_id)s, %(mark_as)s, %(note)s)
returning owner
