-- Make the partitions of this week and the next two before the sink needs them.
select tidemill.make_week((clock_timestamp() at time zone 'UTC')::date + 7 * number)
from generate_series(0, 2) as number
