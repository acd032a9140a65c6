-- Compare and set: advance an offset only if its old value and the topic's id are the expected ones (protocol S1).
update tidemill.sink_offsets as known
set next_offset = move.next_offset
from
    json_to_recordset(%(rows)s)
    as move (topic text, partition int, topic_id text, expected bigint, next_offset bigint)
where
    known.topic = move.topic
    and known.partition = move.partition
    and known.topic_id = move.topic_id
    and known.next_offset = move.expected
