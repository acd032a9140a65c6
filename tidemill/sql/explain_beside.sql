-- Problems and skipped occurrences that explain why an occurrence has no run.
select
    (
        select to_jsonb(problem)
        from (
            select at, reason
            from tidemill.problems
            where owner = %(owner)s
                and code in ('quarantined', 'invalid_schedule')
            order by at desc
            limit 1
        ) as problem
    ) as problem,
    (
        select to_jsonb(finished)
        from (
            select nominal_time, reason
            from tidemill.runs
            where job_id = %(owner)s and nominal_time > %(since)s and nominal_time <= %(at)s
                and state = 'skipped' and reason_code = 'max_runs'
            order by nominal_time desc
            limit 1
        ) as finished
    ) as finished,
    exists (
        select from tidemill.weeks
        where week = tidemill.week_of((%(at)s::timestamptz at time zone 'UTC')::date) and reduced is null
    ) as week_is_kept
