update tidemill.retention
set
    finished_at = case when %(failure)s::text is null then clock_timestamp() else finished_at end,
    failure = %(failure)s
