-- A DAG with one of its nodes, in the version that a DAG run uses; if that was pruned, in the oldest kept version.
select tidemill.spec_with(
    (select jsonb_object_agg(key, value) from json_each(spec) where key <> 'nodes'), 'nodes', json_build_array(node)
)::text as spec
from (
    select definitions.spec
    from tidemill.definitions
    join tidemill.dag_runs as run on definitions.owner = run.dag_id
    where run.run_id = %(dag_run)s and definitions.kind = 'dag' and definitions.spec is not null
    order by definitions.version = run.dag_version desc nulls last, definitions.version
    limit 1
) as definition
cross join lateral json_array_elements(spec -> 'nodes') as node
where node ->> 'node_id' = %(node_id)s
