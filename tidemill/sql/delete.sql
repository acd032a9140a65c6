-- Deletes a job or DAG; its runs stay.
delete from tidemill.{table} where {key} = %(name)s returning {key}
