insert into tidemill.retention as known (began_at, next_at)
select at, at + %(interval)s from clock_timestamp() as at
on conflict (id) do update set
    began_at = excluded.began_at,
    next_at = excluded.next_at
