-- What could not be understood or was given up, newest first.
select *
from tidemill.problems
where %(since)s::timestamptz is null or at >= %(since)s
order by at desc, partition, record_offset desc
limit %(limit)s
