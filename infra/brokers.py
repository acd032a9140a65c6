"""The brokers of the local stack: one, or three that hold each record three times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra import kafka
from infra.errors import StackError
from infra.jvm import properties_file
from infra.part import Part

ONE = "kafka"
NUMBERS = (1, 2, 3)
COUNTS = (1, len(NUMBERS))
"""Two brokers are worse than one: the quorum of the controllers needs both."""
HEAP_MB = 256
COPIES = 3
REPLICATED: Mapping[str, str | int] = {
    "default.replication.factor": COPIES,
    "min.insync.replicas": 2,
    "offsets.topic.replication.factor": COPIES,
    "transaction.state.log.replication.factor": COPIES,
    "transaction.state.log.min.isr": 2,
    "share.coordinator.state.topic.replication.factor": COPIES,
    "share.coordinator.state.topic.min.isr": 2,
    # A broker that stops hands its partitions over first.
    "controlled.shutdown.enable": "true",
}
"""The settings of each of three brokers: one may be away, and no acknowledged record is lost."""


def names(count: int) -> tuple[str, ...]:
    """The names of the brokers' parts."""
    return (ONE,) if count == 1 else tuple(f"{ONE}-{number}" for number in NUMBERS)


def copies(count: int) -> int:
    """The number of replicas of each topic."""
    return min(count, COPIES)


def ports_of(count: int) -> tuple[str, ...]:
    """The names of the ports that the brokers need."""
    return tuple(each for name in names(count) for each in (name, controller_of(name)))


def controller_of(name: str) -> str:
    return name.replace(ONE, "controller")


def check_count(data: Path, count: int) -> None:
    """Raises `StackError`."""
    if count not in COUNTS:
        raise StackError(f"A stack has 1 or {len(NUMBERS)} brokers, not {count}.")
    others = [each for each in COUNTS if each != count and (data / names(each)[0] / "log").exists()]
    if others:
        raise StackError(
            f"The stack in {data} was made with {others[0]} brokers, and its records are there. Start it with"
            f" --brokers {others[0]}, or use another folder."
        )


def addresses(parts: Iterable[Part]) -> dict[str, str]:
    """The address of each of three brokers; of a single one, the bootstrap address says it."""
    return {each.name: f"127.0.0.1:{each.port}" for each in parts if each.name in names(len(NUMBERS))}


def parts(
    data: Path, count: int, ports: Mapping[str, int], reached: Mapping[str, int], class_path: str
) -> Iterator[Part]:
    """`reached`: the ports under which clients and other brokers reach a listener, if it is not its own."""
    if count == 1:
        home = kafka.prepare(data, ports[ONE], ports["controller"], class_path, reached.get(ONE))
        yield kafka.part(data, ports[ONE], home, class_path)
        return
    configs = {number: _configure(data, number, ports, reached) for number in NUMBERS}
    _format_new({data / f"{ONE}-{number}": config for number, config in configs.items()}, class_path)
    for number, config in configs.items():
        name = f"{ONE}-{number}"
        yield kafka.part(data, ports[name], config, class_path, name=name, heap_mb=HEAP_MB)


def replicated_properties(
    home: Path, number: int, ports: Mapping[str, int], reached: Mapping[str, int]
) -> dict[str, str | int]:
    """The properties of one of three brokers. `ports` has `kafka-N` and `controller-N` of each."""
    name, voted = f"{ONE}-{number}", {**ports, **reached}
    voters = ",".join(f"{each}@127.0.0.1:{voted[f'controller-{each}']}" for each in NUMBERS)
    own = kafka.server_properties(home, ports[name], ports[controller_of(name)], reached.get(name))
    return {**own, **REPLICATED, "node.id": number, "controller.quorum.voters": voters}


def _configure(data: Path, number: int, ports: Mapping[str, int], reached: Mapping[str, int]) -> Path:
    home = data / f"{ONE}-{number}"
    home.mkdir(parents=True, exist_ok=True)
    config = home / "server.properties"
    config.write_text(properties_file(replicated_properties(home, number, ports, reached)))
    return config


def _format_new(configs: Mapping[Path, Path], class_path: str) -> None:
    """Format the log folders that are new. All have one cluster id; each takes a JVM, so they start at once."""
    new = [config for home, config in configs.items() if not kafka.is_formatted(home)]
    if 0 < len(new) < len(configs):
        raise StackError(f"Of the three log folders {', '.join(map(str, configs))} some are missing.")
    cluster_id = kafka.new_cluster_id()
    with ThreadPoolExecutor(len(NUMBERS)) as pool:
        for each in [pool.submit(kafka.format_log, config, class_path, cluster_id) for config in new]:
            each.result()
