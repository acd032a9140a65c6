-- How many runs a filter has, counted among the first candidates of an index.
select count(*) filter (where {conditions}) as matching, count(*) as candidates
from (select * from ({candidates}) as found order by nominal_time desc, run_id limit %(scan)s) as candidate
