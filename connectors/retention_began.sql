insert into tidemill.retention as known (began_at, next_at)
values (clock_timestamp(), clock_timestamp() + %(interval)s)
on conflict (id) do update set
    began_at = excluded.began_at,
    next_at = excluded.next_at
