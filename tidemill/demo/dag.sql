update tidemill.dags set
    -- its DAG runs come one after the other, and none is left out
    schedule = '*/15 * * * * *', overlap_policy = 'buffer_all', starts_at = %(starts_at)s, ends_at = %(ends_at)s
where dag_id = 'etl'
