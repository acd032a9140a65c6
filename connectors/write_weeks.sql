-- Update the row of each week before writing into the week: pruning a week locks its row. Parameter: rows, as JSON.
insert into tidemill.weeks as known (week, written, last_at)
select week, 1, last_at from json_to_recordset(%(rows)s) as touched (week date, last_at timestamptz)
order by week
on conflict (week) do update set
    written = known.written + 1,
    last_at = greatest(known.last_at, excluded.last_at)
