-- A page of problems, the newest first: of the filter's codes and owner, after a problem if one is given.
select *
from tidemill.problems
where (%(since)s::timestamptz is null or at >= %(since)s)
    and (%(codes)s::text[] is null or code = any (%(codes)s))
    and (%(kind)s::text is null or kind = %(kind)s)
    and (%(owner)s::text is null or owner = %(owner)s)
    and (
        %(after_at)s::timestamptz is null
        or at <= %(after_at)s
            and (at < %(after_at)s or (partition, record_offset, topic_id) > (%(after_partition)s, %(after_offset)s, %(after_topic)s))
    )
order by at desc, partition, record_offset, topic_id
limit %(limit)s
