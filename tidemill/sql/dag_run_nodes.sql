-- The nodes of one DAG run in topological order, with their runs of the run's current life. The nodes are those of the
-- version that the run uses; if that was pruned, of the oldest kept version; before the run opens, of the newest version.
with run as materialized (
    select run_id, dag_id, dag_version, filed_on, queued_at, rerun_id = request_id as is_backfilled
    from tidemill.runs
    where run_id = %(run_id)s and kind = 'dag'
), definition as materialized (
    select definitions.spec
    from tidemill.definitions
    join run on definitions.owner = run.dag_id
    where definitions.kind = 'dag' and definitions.spec is not null
    order by version = dag_version desc nulls last, case when dag_version is null then - version else version end
    limit 1
)
select
    node ->> 'node_id' as node_id, coalesce((node -> 'depends_on')::jsonb, '[]') as depends_on,
    coalesce(node ->> 'trigger_rule', 'all_success') as trigger_rule,
    each.run_id, each.state, each.reason, each.reason_code, each.attempt, each.exit_code, each.queued_at, each.started_at, each.finished_at,
    each.next_nodes
from definition
cross join run
cross join lateral json_array_elements(spec -> 'nodes') with ordinality as compiled (node, place)
-- offset 0 makes the planner look each run up by the primary key; without statistics it would use a nested-loop join.
left join lateral (
    select *
    from tidemill.runs
    where runs.run_id = run.run_id || '/' || (node ->> 'node_id') and runs.filed_on = run.filed_on
        -- A backfill runs all nodes again, so older node runs do not count.
        and (run.is_backfilled is not true or coalesce(runs.queued_at, runs.finished_at) >= run.queued_at)
    offset 0
) as each on true
order by place
