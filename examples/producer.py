"""Asks Tidemill to run a job, by a record in Kafka: `python examples/producer.py JOB_ID REQUEST_ID [PAYLOAD]`.

All it needs is confluent-kafka and two settings, TIDEMILL_KAFKA_BOOTSTRAP and TIDEMILL_TOPIC_PREFIX (`tidemill up`
prints the first). The same id may be sent again for its job, here or as a row of tidemill.requests: it runs once.
"""

import json
import os
import sys

from confluent_kafka import Producer

BOOTSTRAP = os.environ.get("TIDEMILL_KAFKA_BOOTSTRAP", "127.0.0.1:9092")
TOPIC = os.environ.get("TIDEMILL_TOPIC_PREFIX", "tidemill.") + "requests"
SECONDS = 30


def main(job_id: str, request_id: str, payload: str = "null") -> str | None:
    """What went wrong, if anything did."""
    try:
        json.loads(payload)
    except json.JSONDecodeError as error:
        return f"PAYLOAD is {payload!r}, which is not JSON: {error}"
    # As it was given: written again by a program, a number could be another one.
    request = f'{{"request_id": {json.dumps(request_id)}, "job_id": {json.dumps(job_id)}, "payload": {payload}}}'
    errors = []
    producer = Producer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "partitioner": "murmur2_random",  # as Java clients do; any other costs a detour
            "enable.idempotence": True,
        }
    )
    producer.produce(TOPIC, request, key=job_id, on_delivery=lambda error, _: errors.append(error))
    if producer.flush(SECONDS) or errors != [None]:
        return f"{request_id} was not taken: {errors[0] if errors else f'{BOOTSTRAP} does not answer'}"
    print(f"asked: the run will be {job_id}#{request_id}")
    return None


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
