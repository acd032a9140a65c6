-- The nodes of a DAG, each after all that it depends on.
select node.*
from tidemill.dags
join tidemill.definitions on definitions.owner = dags.dag_id and definitions.kind = 'dag' and definitions.version = dags.version
cross join lateral json_array_elements(definitions.spec -> 'nodes') with ordinality as compiled (node, place)
-- One by one, by the primary key: a planner without statistics of nodes just written would join them each with each.
cross join lateral (
    select *
    from tidemill.dag_nodes
    where dag_nodes.dag_id = dags.dag_id and dag_nodes.node_id = compiled.node ->> 'node_id'
    offset 0
) as node
where dags.dag_id = %(dag_id)s
order by compiled.place
