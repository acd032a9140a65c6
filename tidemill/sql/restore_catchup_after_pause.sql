-- Restores the column after --catchup changed it for one pause.
update tidemill.{table} set catchup_after_pause = %(catchup_after_pause)s where {key} = %(name)s returning {key}
