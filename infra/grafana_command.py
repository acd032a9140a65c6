"""The command that opens Grafana on infra/grafana and a local stack; Grafana itself is a container."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlencode

from psycopg.conninfo import conninfo_to_dict

from infra.files import write_private
from infra.grafana_role import ROLE

IMAGE = "grafana/grafana:12.2.0"
FOLDER = Path(__file__).with_name("grafana")
ADDRESS = "http://127.0.0.1:3000"
FIRST_DASHBOARD = "tidemill-overview"
MOUNTED = "/etc/tidemill/grafana"
SETTINGS = {
    "GF_PATHS_PROVISIONING": f"{MOUNTED}/provisioning",
    "GF_AUTH_ANONYMOUS_ENABLED": "true",
    "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
    "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    "GF_ANALYTICS_REPORTING_ENABLED": "false",
}
"""Of Grafana wherever it runs: its files are the repository's, and it asks no reader for a password."""


def prepare(data: Path, prometheus_port: int, environment: Mapping[str, str]) -> None:
    """Write Grafana's environment into the data folder, readable only by its owner: it has the database's password."""
    given = variables(
        prometheus_port, environment["TIDEMILL_POSTGRES_READ_DSN"], environment["TIDEMILL_KAFKA_BOOTSTRAP"]
    )
    write_private(_file(data), "".join(f"{name}={value}\n" for name, value in given.items()).encode())


def variables(prometheus_port: int, dsn: str, kafka_bootstrap: str) -> dict[str, str]:
    """Grafana's environment. The data sources in infra/grafana take the addresses from it."""
    postgres = conninfo_to_dict(dsn)
    return {
        **SETTINGS,
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "PROMETHEUS_URL": f"http://127.0.0.1:{prometheus_port}",
        "POSTGRES_ADDRESS": f"{postgres['host']}:{postgres['port']}",
        "POSTGRES_DATABASE": str(postgres["dbname"]),
        "POSTGRES_USER": ROLE,
        "POSTGRES_PASSWORD": str(postgres["password"]),
        "KAFKA_BOOTSTRAP": kafka_bootstrap,
    }


def lines(data: Path, addresses: Mapping[str, str]) -> Iterator[str]:
    """What to run, and where Grafana is then. The container has this machine's network, as the stack listens there."""
    query = urlencode({"var-web": addresses["web"].rstrip("/")} if "web" in addresses else {})
    mount = f"--volume={FOLDER}:{MOUNTED}:ro"
    argv = ("docker", "run", "--rm", "--network=host", f"--env-file={_file(data).absolute()}", mount, IMAGE)
    yield f"Grafana is at {ADDRESS}/d/{FIRST_DASHBOARD}?{query} while this runs:"
    yield f"  {shlex.join(argv)}"


def _file(data: Path) -> Path:
    return data / "grafana.env"
