-- Whether all max_runs of a job are made, as far as its rows show it: `since` is its version's time, `earliest` the time
-- from which every row is kept. Without a row after that, it may have finished before.
select
    exists (
        select from tidemill.runs
        where job_id = %(owner)s and reason_code = 'max_runs' and nominal_time > %(since)s and nominal_time <= %(at)s
    )
    or (
        %(since)s < %(earliest)s
        and not exists (
            select from tidemill.runs
            where job_id = %(owner)s and nominal_time >= %(earliest)s and nominal_time < %(at)s and request_id is null
        )
    ) as is_finished
