select dag_id
from tidemill.dags
where dag_id ilike '%$__searchFilter%'
order by dag_id
limit 1000
