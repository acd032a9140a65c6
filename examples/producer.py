"""Requests a run of a job by a record in Kafka: `python examples/producer.py JOB_ID REQUEST_ID [PAYLOAD]`.

It needs confluent-kafka and two settings, TIDEMILL_KAFKA_BOOTSTRAP (`tidemill up` prints it) and TIDEMILL_TOPIC_PREFIX.
If the same request id is sent again for the same job, here or as a row of tidemill.requests, the job runs only once.
"""

import json
import os
import sys

from confluent_kafka import Producer

BOOTSTRAP = os.environ.get("TIDEMILL_KAFKA_BOOTSTRAP", "127.0.0.1:9092")
TOPIC = os.environ.get("TIDEMILL_TOPIC_PREFIX", "tidemill.") + "requests"
SECONDS = 30


def main(job_id: str, request_id: str, payload: str = "null") -> str | None:
    """Send the request; returns an error, or None."""
    try:
        json.loads(payload)
    except json.JSONDecodeError as error:
        return f"PAYLOAD is {payload!r}, which is not JSON: {error}"
    # The payload as it was given: parsing and writing it again could change a number.
    request = f'{{"request_id": {json.dumps(request_id)}, "job_id": {json.dumps(job_id)}, "payload": {payload}}}'
    errors = []
    producer = Producer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "partitioner": "murmur2_random",  # the Java clients' default; with another one, the record takes a detour
            "enable.idempotence": True,
        }
    )
    producer.produce(TOPIC, request, key=job_id, on_delivery=lambda error, _: errors.append(error))
    if producer.flush(SECONDS) or errors != [None]:
        return f"{request_id} was not sent: {errors[0] if errors else f'{BOOTSTRAP} does not answer'}"
    print(f"requested: the run will be {job_id}#{request_id}")
    return None


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
