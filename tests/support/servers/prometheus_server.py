"""The real Prometheus on a free port of this machine, for a test; its data is deleted at the end."""

from __future__ import annotations

import json
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from infra import packages, prometheus_part
from infra.ports import Ports
from infra.settings import InfraSettings
from tests.support.servers.server_process import start

QUERY_SECONDS = 10


class PrometheusServer(NamedTuple):
    url: str
    folder: Path
    """Holds the configuration as `prometheus.yaml`; file_sd files and rules may be written beside it."""

    def query(self, promql: str) -> list[dict[str, Any]]:
        """The series of an instant query: `{"metric": labels, "value": [time, "number"]}` each."""
        result = self.get("query", query=promql)["result"]
        assert isinstance(result, list)
        return result

    def value(self, promql: str) -> float | None:
        """The number of the only series; None if there is none."""
        found = self.query(promql)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def get(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of `/api/v1/PATH`. Fails with Prometheus' own message."""
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=QUERY_SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error


@contextmanager
def running_prometheus(configuration: str) -> Iterator[PrometheusServer]:
    """Relative paths in the configuration count from its own folder. It ends with the test run, even if killed.

    Prometheus scrapes first about 5 s after its start: it collects its targets for that time.
    """
    settings = InfraSettings()
    with tempfile.TemporaryDirectory(prefix="tidemill-prometheus-", ignore_cleanup_errors=True) as folder:
        data = Path(folder)
        ports = Ports(data, settings.cache.expanduser(), ["prometheus"])
        port = ports.by_name["prometheus"]
        file = data / "prometheus.yaml"
        file.write_text(configuration)
        process = start(prometheus_part.part(data, port, packages.program("prometheus", settings, print), file))
        try:
            yield PrometheusServer(f"http://127.0.0.1:{port}", data)
        finally:
            process.kill()
            process.wait()
            ports.close()
