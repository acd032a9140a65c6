"""The mock cluster of librdkafka: brokers that answer a request with the errors that a test chooses."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import confluent_kafka

LIST_OFFSETS, OFFSET_FETCH = 2, 9
"""The numbers of the requests, as in Kafka's protocol."""
COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, GROUP_AUTHORIZATION_FAILED = 14, 15, 16, 30
_PRODUCER = 0
_BROKERS = 3


class MockBrokers:
    def __init__(self, library: ctypes.CDLL, cluster: ctypes.c_void_p) -> None:
        self._library, self._cluster = library, cluster
        self.address = ctypes.cast(library.rd_kafka_mock_cluster_bootstraps(cluster), ctypes.c_char_p).value.decode()

    def make_topic(self, name: str) -> None:
        """With one partition."""
        assert self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), 1, _BROKERS) == 0

    def lead(self, topic: str, broker: int) -> None:
        """Make this broker the leader of the topic's partition."""
        assert self._library.rd_kafka_mock_partition_set_leader(self._cluster, topic.encode(), 0, broker) == 0

    def answer_next_late(self, broker: int, request: int, milliseconds: int) -> None:
        numbers = (ctypes.c_int32(broker), ctypes.c_int16(request), ctypes.c_size_t(1))
        late = (ctypes.c_int(0), ctypes.c_int(milliseconds))
        self._library.rd_kafka_mock_broker_push_request_error_rtts(self._cluster, *numbers, *late)

    def take_away(self, broker: int) -> None:
        """The others no longer name it, and it does not answer."""
        self._library.rd_kafka_mock_broker_remove_from_metadata(self._cluster, broker)
        self._library.rd_kafka_mock_broker_set_down(self._cluster, broker)

    def answer_next(self, request: int, *errors: int) -> None:
        """Answer the next requests of this kind with these errors, one after the other."""
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(request), ctypes.c_size_t(len(errors)), (ctypes.c_int * len(errors))(*errors)
        )


@contextmanager
def running_mock_brokers() -> Iterator[MockBrokers]:
    library = _library()
    client = ctypes.c_void_p(library.rd_kafka_new(_PRODUCER, None, None, 0))
    cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(client, _BROKERS))
    try:
        yield MockBrokers(library, cluster)
    finally:
        library.rd_kafka_mock_cluster_destroy(cluster)
        library.rd_kafka_destroy(client)


def _library() -> ctypes.CDLL:
    """The one that confluent-kafka brings along."""
    (path,) = Path(confluent_kafka.__file__).parent.with_name("confluent_kafka.libs").glob("librdkafka-*.so*")
    library = ctypes.CDLL(str(path))
    for name in ("rd_kafka_new", "rd_kafka_mock_cluster_new", "rd_kafka_mock_cluster_bootstraps"):
        getattr(library, name).restype = ctypes.c_void_p
    return library
