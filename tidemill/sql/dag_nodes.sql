-- The nodes of a DAG in topological order.
select node.*
from tidemill.dags
join tidemill.definitions on definitions.owner = dags.dag_id and definitions.kind = 'dag' and definitions.version = dags.version
cross join lateral json_array_elements(definitions.spec -> 'nodes') with ordinality as compiled (node, place)
-- offset 0 makes the planner look each node up by the primary key; without statistics it would use a nested-loop join.
cross join lateral (
    select *
    from tidemill.dag_nodes
    where dag_nodes.dag_id = dags.dag_id and dag_nodes.node_id = compiled.node ->> 'node_id'
    offset 0
) as node
where dags.dag_id = %(dag_id)s
order by compiled.place
