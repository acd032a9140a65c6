-- The newest versions of these jobs and DAGs, with what decides when they are due.
select
    definition.owner, definition.version, definition.valid_from, definition.deleted, clock.schedule, clock.timezone,
    clock.dst_gap, clock.dst_fold, clock.starts_at, clock.ends_at, clock.paused, clock.max_runs
from unnest(%(owners)s::text[]) as asked (owner)
cross join lateral (
    select owner, version, valid_from, deleted, spec
    from tidemill.definitions
    where owner = asked.owner
    order by version desc
    limit %(most)s
) as definition
left join lateral json_to_record(definition.spec) as clock (
    schedule text, timezone text, dst_gap text, dst_fold text, starts_at timestamptz, ends_at timestamptz, paused bool,
    max_runs int
) on true
order by definition.owner, definition.version
