-- Drop the slot only if it is still lost: another supervisor may have replaced it meanwhile.
select pg_drop_replication_slot(slot_name)::text
from pg_replication_slots
where slot_name = %(slot_name)s and wal_status = 'lost'
