-- Only if it is lost indeed: whoever else saw it may have replaced it by now.
select pg_drop_replication_slot(slot_name)::text
from pg_replication_slots
where slot_name = %(slot_name)s and wal_status = 'lost'
