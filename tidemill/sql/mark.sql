-- The result of a mark, once the node and its DAG run show it; or the reason of its refusal.
select node.state, node.reason, null as refused
from tidemill.runs as node
join tidemill.dag_runs as whole on whole.run_id = split_part(node.run_id, '/', 1)
where node.run_id = %(run_id)s and node.reason = %(reason)s and whole.version > node.version
union all
select null, null, reason
from tidemill.problems
where owner = %(owner)s and at > statement_timestamp() - interval '1 hour'
    and code = 'request_refused' and request_id = %(request_id)s
limit 1
