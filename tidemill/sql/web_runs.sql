-- A page of runs, the newest first, among the first candidates of an index; with how many candidates were read,
-- how many of them match, and the last one, from which the next page continues.
with candidate as materialized (
    select *
    from ({candidates}) as found
    order by nominal_time desc, run_id
    limit %(scan)s
), read as (
    select count(*) as candidates, count(*) filter (where {conditions}) as matching from candidate
), matching as (
    select * from candidate where {conditions} order by nominal_time desc, run_id limit %(limit)s
)
select
    matching.*, read.candidates, read.matching as matching_candidates, last.nominal_time as last_at, last.run_id as last_id
from read
left join (select * from candidate order by nominal_time, run_id desc limit 1) as last on true
left join matching on true
order by matching.nominal_time desc, matching.run_id
