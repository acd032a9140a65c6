"""A throwaway Kafka node that requires TLS and a password."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import trustme
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from infra import jars, kafka
from infra.jvm import properties_file
from infra.ports import Ports
from infra.settings import InfraSettings
from schemas.settings import Connections
from tests.support.servers.server_process import start
from tidemill.lag import quiet_options

USER = "tidemill"
LISTENER = "SASL_SSL"
ANSWER_SECONDS = 2


@contextmanager
def running_secured_node(partitions: int) -> Iterator[Connections]:
    """The connection settings of a node with SASL_SSL for clients; its data is deleted at the end."""
    cache = InfraSettings().cache.expanduser()
    with tempfile.TemporaryDirectory(prefix="tidemill-secured-", ignore_cleanup_errors=True) as folder:
        data = Path(folder)
        password, authority = secrets.token_hex(8), trustme.CA()
        authority.cert_pem.write_to_path(data / "ca.pem")
        class_path = jars.class_paths(cache, print)["kafka"]
        ports = Ports(data, cache, ["kafka", "controller"])
        port, controller = ports.by_name["kafka"], ports.by_name["controller"]
        config = kafka.prepare(data, port, controller, class_path)
        certificate = authority.issue_cert("127.0.0.1")
        config.write_text(config.read_text() + properties_file(_secured(port, controller, certificate, password, data)))
        place = Connections(
            kafka_bootstrap=f"127.0.0.1:{port}",
            partitions=partitions,
            kafka_options={
                "security.protocol": LISTENER,
                "sasl.mechanisms": "PLAIN",
                "sasl.username": USER,
                "sasl.password": password,
                "ssl.ca.location": str(data / "ca.pem"),
            },
        )
        part = msgspec.structs.replace(kafka.part(data, port, config, class_path), is_ready=lambda: _answers(place))
        process = start(part)
        try:
            yield place
        finally:
            process.kill()
            process.wait()
            ports.close()


def _secured(
    port: int, controller: int, certificate: trustme.LeafCert, password: str, data: Path
) -> dict[str, str | int]:
    """Settings to append to the config: the last value of a key wins."""
    store = write_store(certificate, data / "server.pem")
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    return {
        "listeners": f"{LISTENER}://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"{LISTENER}://127.0.0.1:{port}",
        "listener.security.protocol.map": f"{LISTENER}:{LISTENER},CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": LISTENER,
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": (
            f'{login} username="{USER}" password="{password}" user_{USER}="{password}";'
        ),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(store),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(data / "ca.pem"),
    }


def write_store(certificate: trustme.LeafCert, store: Path) -> Path:
    """Writes key and certificates to one PEM file, as Java reads them."""
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    store.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for each in certificate.cert_chain_pems:
        each.write_to_path(store, append=True)
    return store


def _answers(place: Connections) -> bool:
    try:
        AdminClient(quiet_options(place)).list_topics(timeout=ANSWER_SECONDS)
    except KafkaException:
        return False
    return True
