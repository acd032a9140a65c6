#!/bin/sh
# Prints the first N changes of a run with Kafka's own tool: `examples/consumer.sh RUN_ID [N]`.
# It needs kafka-console-consumer.sh on PATH.
set -eu
kafka-console-consumer.sh --bootstrap-server "${TIDEMILL_KAFKA_BOOTSTRAP:-127.0.0.1:9092}" \
    --topic "${TIDEMILL_TOPIC_PREFIX:-tidemill.}status" --from-beginning --timeout-ms "${TIMEOUT_MS:-30000}" \
    --command-property isolation.level=read_committed \
    --formatter-property print.key=true 2>/dev/null |    # the key is the run id
    awk -F '\t' -v run="$1" -v most="${2:-1}" '$1 == run { print $2; if (++seen >= most) exit }'
