"""One process of the metrics under test: its topics, its transactions in `status`, and what it shows."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from prometheus_client.parser import text_string_to_metric_families

from connectors.cluster import establish
from infra.ports import CANDIDATES, is_free
from observe.catalogue import process, status
from schemas.settings import AgreedSettings, Connections
from schemas.topics import STATUS
from tests.support.status_logs import StatusLog
from tests.support.waiting import eventually

PARTITIONS = 2
SECONDS = 60
EXIT_SECONDS = 15

LABELS = {each.name: (*each.labels, "le") for each in (*status.ALL, *process.ALL)}


class MetricsBench:
    def __init__(self, bootstrap: str, prefix: str, folder: Path) -> None:
        self.connections = Connections(kafka_bootstrap=bootstrap, topic_prefix=prefix, partitions=PARTITIONS)
        self.state, self.log_file = folder / "state", folder / "metrics.log"
        self.address = f"127.0.0.1:{next(port for port in CANDIDATES if is_free(port))}"
        self.processes: list[subprocess.Popen[bytes]] = []
        establish(self.connections, AgreedSettings())
        self._written = [0] * PARTITIONS
        self._boundaries = 0
        self._producers = [self._producer(number) for number in range(PARTITIONS)]

    def start(self, **environment: str) -> subprocess.Popen[bytes]:
        settings = {
            "TIDEMILL_KAFKA_BOOTSTRAP": self.connections.kafka_bootstrap,
            "TIDEMILL_TOPIC_PREFIX": self.connections.topic_prefix,
            "TIDEMILL_METRICS_STATE": str(self.state),
            "TIDEMILL_OBSERVE_LISTEN": self.address,
        }
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "connectors.metrics"], env={**os.environ, **settings, **environment}, stderr=log
            )
        self.processes.append(process)
        return process

    def kill(self) -> None:
        self.processes[-1].kill()
        self.processes[-1].wait(EXIT_SECONDS)

    def stop(self) -> int:
        self.processes[-1].terminate()
        return self.processes[-1].wait(EXIT_SECONDS)

    def close(self) -> None:
        for each in self.processes:
            each.kill()
            each.wait(EXIT_SECONDS)

    def write(self, logs: list[StatusLog]) -> None:
        """Append what the logs have more than was written, in transactions; between them others are aborted."""
        for number, log in enumerate(logs):
            self._append(number, log.records[self._written[number] :])
            self._written[number] = len(log.records)

    def _append(self, number: int, records: list[tuple[int, bytes, bytes]]) -> None:
        producer, topic = self._producers[number], self.connections.topic(STATUS)
        before: int | None = None
        producer.begin_transaction()
        for offset, key, value in records:
            if before is not None and offset != before + 1:
                producer.commit_transaction(SECONDS)
                self._abort(number)
                producer.begin_transaction()
            producer.produce(topic, value, key, partition=number)
            before = offset
        producer.commit_transaction(SECONDS)

    def _abort(self, number: int) -> None:
        """Now and then: a run that never was."""
        self._boundaries += 1
        if self._boundaries % 10:
            return
        log = StatusLog("aborted")
        log.act(1)
        log.commit()
        ((_, key, value),) = log.records
        producer = self._producers[number]
        producer.begin_transaction()
        producer.produce(self.connections.topic(STATUS), value, key, partition=number)
        producer.flush(SECONDS)
        producer.abort_transaction(SECONDS)

    def delete_topic(self) -> None:
        admin = AdminClient(self.connections.kafka())
        admin.delete_topics([self.connections.topic(STATUS)])[self.connections.topic(STATUS)].result(SECONDS)

    def _producer(self, number: int) -> Producer:
        name = f"{self.connections.topic_prefix}{number}"
        producer = Producer(self.connections.kafka(transactional_id=name, linger_ms=0))
        producer.init_transactions(SECONDS)
        return producer

    def get(self, path: str) -> tuple[int, str]:
        """(0, reason): nothing answers."""
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def samples(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Our samples that are not 0, by name and the values of labels in the catalogue's order."""
        status, text = self.get("/metrics")
        families = text_string_to_metric_families(text if status else "")
        return {
            (each.name, _values(each.name, each.labels)): each.value
            for family in families
            for each in family.samples
            if each.name.startswith("tidemill_") and each.value and not each.name.endswith("_created")
        }

    def wait_until_ready(self) -> None:
        eventually(lambda: self.get("/readyz")[0] == 200, SECONDS, self.log_text)

    def wait_until_read(self, expected: float) -> None:
        """Until so many transitions are counted."""
        eventually(lambda: self.transitions() == expected, SECONDS, lambda: f"{self.transitions()} of {expected}")

    def transitions(self) -> float:
        return sum(value for (name, _), value in self.samples().items() if name == "tidemill_runs_total")

    def log_text(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""


def _values(sample: str, labels: dict[str, str]) -> tuple[str, ...]:
    """Prometheus orders labels by name."""
    name = next(each for each in (sample, sample.rpartition("_")[0]) if each in LABELS)
    return tuple(labels[each] for each in LABELS[name] if each in labels)
