-- The versions that decide from a time on, by job or DAG: those written later, and the newest one before.
select
    definition.owner, definition.version, definition.valid_from, definition.deleted, clock.tenant, clock.schedule,
    clock.timezone, clock.dst_gap, clock.dst_fold, clock.starts_at, clock.ends_at, clock.paused, clock.overlap_policy,
    clock.concurrency_limit
from tidemill.definitions as definition
left join lateral json_to_record(definition.spec) as clock (
    tenant text, schedule text, timezone text, dst_gap text, dst_fold text, starts_at timestamptz, ends_at timestamptz,
    paused bool, overlap_policy text, concurrency_limit int
) on true
where (
        definition.valid_from > %(begin)s
        or definition.version = (
            select max(version)
            from tidemill.definitions as before
            where before.owner = definition.owner and before.valid_from <= %(begin)s
        )
    )
    and definition.valid_from <= %(end)s
    and (%(owner)s::text is null or definition.owner = %(owner)s)
order by definition.owner collate "C", definition.version
