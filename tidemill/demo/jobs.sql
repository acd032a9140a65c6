insert into tidemill.jobs (
    job_id, schedule, executable, max_attempts, overlap_policy, starts_at, ends_at
) values
    -- every 5 seconds, and every minute
    ('every-5s', '*/5 * * * * *', 's3://tidemill/examples/hello.sh', 1, 'allow_all', %(starts_at)s, %(ends_at)s),
    ('every-minute', %(every_minute)s, 's3://tidemill/examples/hello.sh', 1, 'allow_all', %(starts_at)s, %(ends_at)s),
    -- takes 14 s: it times out in the class 10s and is promoted to 1m
    ('slow', '@every 60s', 's3://tidemill/examples/slow.sh', 1, 'allow_all', %(starts_at)s, %(ends_at)s),
    -- fails twice, then succeeds
    ('flaky', '@every 30s', 's3://tidemill/examples/flaky.sh', 3, 'allow_all', %(starts_at)s, %(ends_at)s)
