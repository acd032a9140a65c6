-- The nodes of the DAG.
select dag_id, node_id, depends_on from tidemill.dag_nodes
