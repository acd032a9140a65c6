-- The newest run of a job or DAG, nodes' runs excluded.
select * from tidemill.runs where job_id = %(owner)s and node_id is null order by nominal_time desc, run_id limit 1
