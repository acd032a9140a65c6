-- The key is the record's own partition and offset, so that a replay changes nothing. Parameter: rows, as JSON.
insert into tidemill.problems
select * from json_populate_recordset(null::tidemill.problems, %(rows)s)
on conflict (at, partition, record_offset, topic_id) do nothing
