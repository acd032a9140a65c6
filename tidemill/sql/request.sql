-- One request.
select * from tidemill.requests where request_id = %(request_id)s
