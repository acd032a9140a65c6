-- Decides nothing more for the job or DAG until it is resumed.
update tidemill.{table} set paused = true, paused_note = %(note)s where {key} = %(name)s returning {key}
