select wal_status from pg_replication_slots where slot_name = %(slot_name)s
