-- The sink's next offsets in a topic.
select partition, next_offset from tidemill.sink_offsets where topic = %(topic)s
