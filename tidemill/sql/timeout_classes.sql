-- The timeout classes that jobs may name.
select name from tidemill.timeout_classes order by name
