update tidemill.dags set
    -- buffer_all: the DAG runs run one after the other, and none is skipped
    schedule = '*/15 * * * * *', overlap_policy = 'buffer_all', starts_at = %(starts_at)s, ends_at = %(ends_at)s
where dag_id = 'etl'
