"""The mock cluster of librdkafka: brokers that answer a request with the errors that a test chooses."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import confluent_kafka

OFFSET_FETCH = 9
"""The number of the request, as in Kafka's protocol."""
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
