"""Prints what becomes of runs, from the topic `status`: `python examples/consumer.py [RUN_ID]`.

With a RUN_ID it ends when that run has ended, with exit code 0 if it succeeded. It needs confluent-kafka and two
settings, TIDEMILL_KAFKA_BOOTSTRAP (`tidemill up` prints it) and TIDEMILL_TOPIC_PREFIX.
"""

import json
import os
import sys

from confluent_kafka import Consumer

BOOTSTRAP = os.environ.get("TIDEMILL_KAFKA_BOOTSTRAP", "127.0.0.1:9092")
TOPIC = os.environ.get("TIDEMILL_TOPIC_PREFIX", "tidemill.") + "status"
FINAL = {"succeeded", "failed", "timed_out", "cancelled", "dead", "skipped", "missed", "upstream_failed"}


def main(wanted: str | None = None) -> int:
    consumer = Consumer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "group.id": os.environ.get("CONSUMER_GROUP", "example-consumer"),  # each group reads everything once
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",  # records of aborted transactions never happened
        }
    )
    consumer.subscribe([TOPIC])
    try:
        while True:
            message = consumer.poll(1.0)
            if message is None or message.error() or message.value() is None:
                continue
            run = json.loads(message.value())  # a release may add fields: ignore those that you do not know
            if wanted in (None, run["run_id"]):
                print(run["run_id"], run["version"], run["state"], run.get("reason") or "", flush=True)
            if wanted == run["run_id"] and run["state"] in FINAL:
                return 0 if run["state"] == "succeeded" else 1
    finally:
        consumer.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
