#!/bin/sh
# Requests a run with Kafka's own tool: `examples/producer.sh JOB_ID REQUEST_ID [PAYLOAD]`.
# It needs kafka-console-producer.sh on PATH. Ids with a quote or a backslash need JSON's escapes.
set -eu
printf '%s\t{"request_id": "%s", "job_id": "%s", "payload": %s}\n' "$1" "$2" "$1" "${3:-null}" |
    kafka-console-producer.sh --bootstrap-server "${TIDEMILL_KAFKA_BOOTSTRAP:-127.0.0.1:9092}" \
        --topic "${TIDEMILL_TOPIC_PREFIX:-tidemill.}requests" \
        --reader-property parse.key=true    # the key is what stands before the tab
echo "requested: the run will be $1#$2"
