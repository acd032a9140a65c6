-- DAG runs that ended, and whose definition has nodes without a run: each node has an outcome or a reason.
with ended as (
    select run_id, job_id, filed_on, nominal_time, dag_version
    from tidemill.runs
    where kind = 'dag' and dag_version is not null and not tidemill.is_open(state)
        and nominal_time > %(begin)s and nominal_time <= %(end)s
        and filed_on >= (%(begin)s at time zone 'UTC')::date - 1
        and (%(owner)s::text is null or job_id = %(owner)s)
        and (%(tenant)s::text is null or tenant = %(tenant)s)
)
select ended.job_id as owner, ended.run_id, ended.nominal_time, ended.dag_version as version, node.node_id
from ended
join tidemill.definitions as definition on definition.owner = ended.job_id and definition.version = ended.dag_version
cross join lateral (select each ->> 'node_id' as node_id from json_array_elements(definition.spec -> 'nodes') as each) as node
where not exists (
    select from tidemill.runs
    where run_id = ended.run_id || '/' || node.node_id and filed_on = ended.filed_on
)
order by ended.nominal_time, ended.run_id
limit %(most)s
