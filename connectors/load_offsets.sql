-- The next offset of each partition. A topic that was deleted and created again starts at offset 0 (protocol O2).
insert into tidemill.sink_offsets as known
select topic, partition, topic_id, 0
from json_populate_recordset(null::tidemill.sink_offsets, %(rows)s)
on conflict (topic, partition) do update set
    topic_id = excluded.topic_id,
    next_offset = case when known.topic_id = excluded.topic_id then known.next_offset else 0 end
returning topic, partition, next_offset
