-- The times between which an audit can be complete: all rows and versions are kept from `earliest` on, and `now`.
select
    clock_timestamp() as now,
    greatest(
        (
            select coalesce(greatest(min(week), max(week) filter (where reduced is not null) + 7), date '1970-01-01')
            from tidemill.weeks
        )::timestamp at time zone 'UTC',
        (select until from tidemill.definitions_pruned)
    ) as earliest
