"""The small port of a process under test: its probes, and the figures that it shows."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from infra.ports import Ports
from infra.settings import InfraSettings

ANSWER_SECONDS = 5


class Observed(NamedTuple):
    address: str
    """`HOST:PORT`, as TIDEMILL_OBSERVE_LISTEN."""

    def get(self, path: str) -> tuple[int, str]:
        """The status and the text; 0: nothing answers."""
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=ANSWER_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    @property
    def is_ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    @property
    def is_live(self) -> bool:
        return self.get("/livez")[0] == 200

    def figure(self, series: str, **labels: str) -> float | None:
        """The value of one series; None: there is no such series."""
        samples = (sample for family in self._families() for sample in family.samples)
        return next((each.value for each in samples if each.name == series and each.labels == labels), None)

    def series(self, name: str, **labels: str) -> dict[tuple[str, ...], float]:
        """The value of each series of this name that has these labels, by the values of its other labels."""
        samples = (sample for family in self._families() for sample in family.samples)
        return {
            tuple(value for label, value in each.labels.items() if label not in labels): each.value
            for each in samples
            if each.name == name and labels.items() <= each.labels.items()
        }

    def names(self) -> set[str]:
        """The names of the metrics that have a series, as the catalogue has them."""
        found = (each for each in self._families() if each.samples)
        return {f"{each.name}_total" if each.type == "counter" else each.name for each in found}

    def _families(self) -> Iterator[Metric]:
        return text_string_to_metric_families(self.get("/metrics")[1])


@contextmanager
def reserved_port(folder: Path) -> Iterator[Observed]:
    """A port that no other test gets; the address is for TIDEMILL_OBSERVE_LISTEN."""
    ports = Ports(folder, InfraSettings().cache.expanduser(), ["observe"])
    try:
        yield Observed(f"127.0.0.1:{ports.by_name['observe']}")
    finally:
        ports.close()
