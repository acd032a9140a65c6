-- Resumes a job or DAG from now. `catchup` replaces its column `catchup_after_pause` for this pause, unless null.
with before as (
    select {key}, catchup_after_pause
    from tidemill.{table}
    where {key} = %(name)s
    for update
)

update tidemill.{table} as owner
set
    paused = false,
    paused_note = null,
    resumed_at = clock_timestamp(),
    catchup_after_pause = coalesce(%(catchup)s, before.catchup_after_pause)
from before
where owner.{key} = before.{key}
returning before.catchup_after_pause
