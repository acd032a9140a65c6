-- Pauses a job or DAG.
update tidemill.{table} set paused = true, paused_note = %(note)s where {key} = %(name)s returning {key}
