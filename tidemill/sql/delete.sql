-- Its runs stay; nothing new becomes due.
delete from tidemill.{table} where {key} = %(name)s returning {key}
