"""Prometheus of a local stack reads all processes of ours and the rules of infra/prometheus; Grafana reads it."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import yaml

from infra import grafana_command, grafana_role, prometheus_part
from tests.support import promtool

GRAFANA = grafana_command.FOLDER
COMPOSE = yaml.safe_load((Path(__file__).parents[3] / "docker-compose.yml").read_text())
DSN = "user=tidemill password=secret dbname=tidemill host=127.0.0.1 port=27700"


def test_every_process_is_a_target_with_its_name():
    written = prometheus_part.configuration({"stream-0": 20_001, "sink": 20_002})
    assert written["scrape_configs"] == [
        {
            "job_name": "tidemill",
            "static_configs": [
                {"targets": ["127.0.0.1:20001"], "labels": {"instance": "stream-0"}},
                {"targets": ["127.0.0.1:20002"], "labels": {"instance": "sink"}},
            ],
        }
    ]


def test_the_rules_are_those_of_the_repository():
    (pattern,) = prometheus_part.configuration({})["rule_files"]
    assert list(Path(pattern).parent.glob(Path(pattern).name))


def test_promtool_accepts_both_configurations(tmp_path):
    promtool.check_config(prometheus_part.CONFIGURATION)
    local = tmp_path / "prometheus.yaml"
    local.write_text(yaml.safe_dump(prometheus_part.configuration({"sink": 20_002})))
    promtool.check_config(local)


def test_prometheus_listens_only_on_this_machine(tmp_path):
    part = prometheus_part.part(tmp_path, 20_003, "prometheus", tmp_path / "prometheus.yaml")
    assert "--web.listen-address=127.0.0.1:20003" in part.argv
    assert prometheus_part.addresses([part]) == {"prometheus": "http://127.0.0.1:20003"}


def test_the_pages_of_an_unpacked_package_are_found(tmp_path):
    program = tmp_path / "usr/bin/prometheus"
    (tmp_path / "usr/share/prometheus/web").mkdir(parents=True)
    part = prometheus_part.part(tmp_path, 20_003, str(program), tmp_path / "prometheus.yaml")
    assert part.argv[1] == f"--web.local-assets={tmp_path}/usr/share/prometheus/web"


def test_grafana_is_given_the_addresses_in_a_private_file(tmp_path):
    environment = {"TIDEMILL_POSTGRES_READ_DSN": DSN, "TIDEMILL_KAFKA_BOOTSTRAP": "127.0.0.1:28825"}
    grafana_command.prepare(tmp_path, 20_003, environment)
    file = tmp_path / "grafana.env"
    given = dict(line.split("=", 1) for line in file.read_text().splitlines())
    assert given["PROMETHEUS_URL"] == "http://127.0.0.1:20003"
    assert given["POSTGRES_ADDRESS"] == "127.0.0.1:27700"
    assert (given["POSTGRES_USER"], given["POSTGRES_PASSWORD"]) == (grafana_role.ROLE, "secret")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    command = list(grafana_command.lines(tmp_path, {}))[-1]
    assert f"--env-file={file}" in command
    assert "secret" not in command


def test_the_first_dashboard_exists():
    uids = [json.loads(each.read_text())["uid"] for each in GRAFANA.glob("dashboards/*.json")]
    assert grafana_command.FIRST_DASHBOARD in uids


def test_grafana_is_given_all_that_its_files_ask_for():
    files = [each.read_text() for each in GRAFANA.glob("provisioning/*/*.yaml")]
    asked = {name for text in files for name in re.findall(r"\$\{?([A-Z_]+)", text)}
    assert len(asked) >= 5
    assert asked <= set(grafana_command.variables(20_003, DSN, "127.0.0.1:28825"))
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/tidemill.yaml").read_text())["providers"]
    assert provider["options"]["path"] == f"{grafana_command.MOUNTED}/dashboards"


def test_grafana_in_containers_is_the_same():
    grafana = COMPOSE["services"]["grafana"]
    assert grafana["image"] == grafana_command.IMAGE
    assert grafana["volumes"][0] == f"./infra/grafana:{grafana_command.MOUNTED}:ro"
    given = grafana["environment"]
    assert grafana_command.SETTINGS.items() <= given.items()
    assert given["POSTGRES_USER"] == grafana_role.ROLE
    ours = {"GF_SERVER_HTTP_ADDR", *given} - {"GF_SECURITY_ADMIN_PASSWORD"}
    assert ours == set(grafana_command.variables(20_003, DSN, "127.0.0.1:28825"))
