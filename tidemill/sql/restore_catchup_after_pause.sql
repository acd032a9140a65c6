-- What was said for one pause is not its own word.
update tidemill.{table} set catchup_after_pause = %(catchup_after_pause)s where {key} = %(name)s returning {key}
