-- The times between which an audit can be complete: all rows and versions are kept from `earliest` on, and `now`.
select clock_timestamp() as now, greatest(tidemill.kept_from(), (select until from tidemill.definitions_pruned)) as earliest
