-- How far the sink has written runs and problems: each number grows with every record. The topics' names have a prefix.
select
    coalesce(sum(next_offset) filter (where right(topic, 6) = 'status'), 0)::bigint as runs,
    coalesce(sum(next_offset) filter (where right(topic, 10) = 'deadletter'), 0)::bigint as problems
from tidemill.sink_offsets
