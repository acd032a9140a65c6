"""docker-compose.yml, its image and .env.example match the code."""

from __future__ import annotations

import re
import shlex
import tomllib
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

from executors.settings import NOT_FOR_EXECUTORS
from infra.kafka import DESIGN
from infra.postgres import SETTINGS as POSTGRES_SETTINGS
from infra.serve import SERVERS
from observe import probe
from schemas.cluster import Cluster
from tests.support.settings_classes import SETTINGS

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("tidemill")}
DOCKERFILE = (ROOT / "infra/images/Dockerfile").read_text()
FIELDS = {f"TIDEMILL_{name.upper()}": field for settings in SETTINGS for name, field in settings.model_fields.items()}
SHARED = {f"TIDEMILL_{name.upper()}" for name in (*Cluster().values, "partitions")}
EXAMPLE_LINES = re.findall(r"^(# )?([A-Z_0-9]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
KEYS = {
    "build", "command", "configs", "depends_on", "environment", "healthcheck", "image", "ports", "restart",
    "stop_grace_period", "volumes",
}  # fmt: skip


def test_the_topology_is_the_local_stacks():
    servers = {"postgres", "kafka", "connect", "s3", "prometheus", "grafana"}
    jobs = {"migrate", "examples", "grafana-role"}
    workers = {
        "stream-0",
        "stream-1",
        "executor-0",
        "executor-1",
        "sink",
        "metrics",
        "web",
        "connect-supervisor",
        "monitor",
    }
    assert set(SERVICES) == servers | jobs | workers


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_known_keys_and_needs_services_that_exist(name):
    assert set(SERVICES[name]) <= KEYS
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        assert needed in SERVICES
        assert how["condition"] in CONDITIONS
        assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[needed]


def test_dependencies_of_services_have_no_cycle():
    def needs(name, seen=()):
        assert name not in seen, f"{name} waits for itself"
        for needed in SERVICES[name].get("depends_on", {}):
            needs(needed, (*seen, name))

    for name in SERVICES:
        needs(name)


@pytest.mark.parametrize("name", OURS)
def test_a_command_of_ours_exists(name):
    match OURS[name]["command"]:
        case ["python", "-m", module, *_]:
            spec = find_spec(module)
            assert spec is not None
            assert spec.submodule_search_locations is None or find_spec(f"{module}.__main__")
            assert "__main__" in Path(spec.origin).read_text() or find_spec(f"{module}.__main__")
        case [script, command]:
            project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            assert script in project["scripts"]
            assert command in Path(ROOT / "tidemill/stack.py").read_text()
        case other:
            pytest.fail(f"{other} is no command of ours")


def test_the_server_arguments_are_known_to_the_code():
    served = {name for name, service in OURS.items() if "infra.serve" in service["command"]}
    assert {OURS[name]["command"][-1] for name in served} == set(SERVERS)
    assert served == {name for name, service in OURS.items() if service["image"] == "tidemill-servers"}


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_field_of_a_settings_class_and_its_value_is_accepted(name):
    for variable, value in OURS[name]["environment"].items():
        assert variable in FIELDS
        accepts(variable, interpolate(value))


def test_executors_get_neither_the_database_nor_connect():
    executors = [each for each in OURS.values() if each["command"][-1] == "executors"]
    assert len(executors) == 2
    for each in executors:
        assert each["environment"].keys().isdisjoint(NOT_FOR_EXECUTORS)
        assert "TIDEMILL_S3_ENDPOINT" in each["environment"]
        assert "postgres" not in str(each["environment"])


def test_ports_are_bound_to_this_machine_and_are_those_of_the_addresses():
    published = {name: dict(map(inner_and_outer, service.get("ports", []))) for name, service in SERVICES.items()}
    addresses = OURS["sink"]["environment"]
    assert published["postgres"].keys() == {port_in(addresses["TIDEMILL_POSTGRES_DSN"], "postgres")}
    assert published["connect"].keys() == {port_in(addresses["TIDEMILL_CONNECT_URL"], "connect")}
    assert published["s3"].keys() == {port_in(addresses["TIDEMILL_S3_ENDPOINT"], "s3")}
    for name in ("connect", "s3"):
        assert {int(OURS[name]["environment"]["TIDEMILL_SERVE_PORT"])} == published[name].keys()
    outer = [port for ports in published.values() for port in ports.values()]
    assert len(outer) == len(set(outer))


def test_a_process_with_a_port_for_its_health_is_healthy_when_it_is_ready_there():
    ports = {
        name: each["environment"].get("TIDEMILL_OBSERVE_LISTEN", "").rpartition(":")[2] for name, each in OURS.items()
    }
    asked = {name: each.get("healthcheck", {}).get("test", []) for name, each in OURS.items()}
    assert {name for name, port in ports.items() if port} == {name for name in OURS if "observe.probe" in asked[name]}
    for name, port in ports.items():
        if port:
            assert asked[name] == ["CMD", "python", "-m", probe.__name__, f"http://127.0.0.1:{port}/readyz"]


def test_kafkas_listeners_fit_the_addresses_that_clients_are_given():
    kafka = SERVICES["kafka"]["environment"]
    advertised = dict(each.split("://") for each in kafka["KAFKA_ADVERTISED_LISTENERS"].split(","))
    listening = dict(each.split("://") for each in kafka["KAFKA_LISTENERS"].split(","))
    assert advertised["PLAINTEXT"] == OURS["sink"]["environment"]["TIDEMILL_KAFKA_BOOTSTRAP"]
    assert [f"127.0.0.1{listening['HOST']}{listening['HOST']}"] == SERVICES["kafka"]["ports"]
    assert advertised["HOST"] == f"127.0.0.1{listening['HOST']}"
    assert set(listening) == {each.split(":")[0] for each in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")}


def test_the_broker_is_set_as_the_local_one():
    kafka = SERVICES["kafka"]["environment"]
    for name, value in DESIGN.items():
        assert kafka["KAFKA_" + name.replace(".", "_").upper()] == str(value)


def test_the_database_is_set_as_the_local_one():
    command = shlex.split(SERVICES["postgres"]["command"])
    assert command[0] == "postgres"
    given = dict(each.split("=") for each in command[2::2])
    assert given["wal_level"] == "logical"
    assert given == {name: str(POSTGRES_SETTINGS[name]) for name in given}


def test_versions_are_the_local_ones():
    assert SERVICES["kafka"]["image"].partition(":")[2] in (ROOT / "infra/jars.py").read_text()
    assert SERVICES["postgres"]["image"] == "postgres:18"


def test_prometheus_scrapes_each_process_that_has_metrics():
    (scrape,) = yaml.safe_load((ROOT / "infra/prometheus/prometheus.yaml").read_text())["scrape_configs"]
    found = {each["labels"]["instance"]: target for each in scrape["static_configs"] for target in each["targets"]}
    listening = {name: each["environment"].get("TIDEMILL_OBSERVE_LISTEN") for name, each in OURS.items()}
    assert found == {name: f"{name}:{port_of(each)}" for name, each in listening.items() if each is not None}
    assert {name for name, service in OURS.items() if is_process(service)} == set(found)


def is_process(service):
    """Whether it is neither a server of others nor a job of the start."""
    return service["image"] == "tidemill" and service["restart"] != "on-failure"


def port_of(listen):
    host, _, port = listen.rpartition(":")
    assert host == "0.0.0.0"
    return port


def test_mounted_paths_and_build_files_exist():
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.partition(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).exists()
    for service in OURS.values():
        build = service["build"]
        assert (ROOT / build["context"] / build["dockerfile"]).is_file()
        assert build["target"] == service["image"]
        assert build["target"] in re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE)


def test_the_build_context_is_what_the_image_copies():
    lines = re.findall(r"^COPY (?!--from=)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    copied = {path for line in lines for path in line.split()}
    allowed = (ROOT / "infra/images/Dockerfile.dockerignore").read_text().split()
    assert {path for path in copied if not (ROOT / path).exists()} == set()
    assert {f"!{path}" for path in copied} == {line for line in allowed if line.startswith("!")}


def test_the_image_of_production_has_neither_a_jdk_nor_what_tests_need():
    production = DOCKERFILE.split("FROM build AS build-servers")[0]
    installed = re.findall(r"pip (?:--python \S+ )?install (.+?)(?: \\)?$", production, re.MULTILINE)
    assert installed == ["--requirement production.txt", "hatchling", "--no-deps /wheels/*.whl"]
    assert DOCKERFILE.rstrip().split("\n\n")[-1].splitlines()[1:3] == [
        "FROM base AS tidemill",
        "COPY --from=build /opt/tidemill /opt/tidemill",
    ]


def test_the_base_of_the_image_is_pinned_by_digest():
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    named = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))
    (base,) = set(stages) - named
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base)


def test_the_image_holds_every_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert set(packages) <= set(re.findall(r"^COPY (\S+) ", DOCKERFILE, re.MULTILINE))


def test_the_example_has_exactly_the_settings():
    named = {name for _, name, _ in EXAMPLE_LINES if name.startswith("TIDEMILL_")}
    assert named == set(FIELDS)


@pytest.mark.parametrize(("commented", "name", "value"), EXAMPLE_LINES, ids=[name for _, name, _ in EXAMPLE_LINES])
def test_the_example_shows_the_default(commented, name, value):
    if name not in FIELDS:
        assert any(f"${{{name}:-{value}}}" in line for line in (ROOT / "docker-compose.yml").read_text().splitlines())
    elif commented:
        default = FIELDS[name].default
        assert default is None or name == "TIDEMILL_WORK_DIR" or (name in SHARED and accepts(name, value) == default)
    else:
        assert accepts(name, value) == FIELDS[name].default


def accepts(variable, value):
    """Whether the settings class accepts the value."""
    field = FIELDS[variable]
    adapter = TypeAdapter(field.annotation)
    complex_value = field.annotation not in (str, int, Path, timedelta) and value.startswith("{")
    return adapter.validate_json(value) if complex_value else adapter.validate_python(value)


def interpolate(value):
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def inner_and_outer(mapping):
    host, outer, inner = mapping.split(":")
    assert host == "127.0.0.1"
    return int(inner), int(outer)


def port_in(address, host):
    found = re.search(rf"[@/]{host}:(\d+)", address)
    assert found is not None
    return int(found[1])
