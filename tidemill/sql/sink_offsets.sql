-- How far the sink has come in a topic.
select partition, next_offset from tidemill.sink_offsets where topic = %(topic)s
