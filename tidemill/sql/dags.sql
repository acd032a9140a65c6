-- All DAGs.
select dag.*, (select count(*) from tidemill.dag_nodes as node where node.dag_id = dag.dag_id) as nodes
from tidemill.dags as dag
where %(tenant)s::text is null or dag.tenant = %(tenant)s
order by dag.dag_id
