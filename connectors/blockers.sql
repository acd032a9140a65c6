-- The sessions that hold the locks for which session %(pid)s waits. A prepared transaction has no session, and the pid 0.
select format(
    'pid %%s (%%s, %%s since %%s: %%s)',
    held.pid,
    coalesce(nullif(application_name, ''), 'a session without a name'),
    coalesce(state, 'prepared'),
    to_char(xact_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'),
    coalesce(left(regexp_replace(query, '\s+', ' ', 'g'), 200), 'see pg_prepared_xacts'))
from unnest(pg_blocking_pids(%(pid)s)) as held (pid)
left join pg_stat_activity using (pid)
