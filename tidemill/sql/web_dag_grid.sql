-- The state of each node in each of some DAG runs; a node that has no run yet has no row.
select asked.dag_run, node.node_id, node.state, node.run_id
from unnest(%(runs)s::text[], %(filed)s::date[]) as asked (dag_run, filed_on)
cross join unnest(%(nodes)s::text[]) as wanted (node_id)
-- offset 0 makes the planner look each run up by the primary key.
cross join lateral (
    select runs.node_id, runs.state, runs.run_id
    from tidemill.runs
    where runs.run_id = asked.dag_run || '/' || wanted.node_id and runs.filed_on = asked.filed_on
    offset 0
) as node
