"""An invalid variable ends each of our processes with one sentence that names it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

EXIT_SECONDS = 60
PROCESSES = ("streams", "executors", "connectors.sink", "connectors.supervisor", "connectors.metrics")


CLIENTS = ("streams", "executors", "connectors.sink", "connectors.metrics")
"""The processes with a Kafka client; the supervisor has none."""


def refusal(variables, *arguments):
    """The output of a process that its variables end."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=EXIT_SECONDS,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 2
    return done.stderr


@pytest.mark.parametrize("module", PROCESSES)
def test_a_process_says_which_variable_it_cannot_use_and_ends(module):
    said = refusal({"TIDEMILL_PARTITIONS": "eight"}, module)
    assert "TIDEMILL_PARTITIONS is 'eight': it must be a valid integer" in said


@pytest.mark.parametrize("arguments", [*([each] for each in CLIENTS), ["tidemill", "cluster", "show"]])
def test_a_process_says_which_option_its_kafka_client_does_not_know(arguments):
    options = {
        "TIDEMILL_KAFKA_OPTIONS": '{"sasl.mechanims": "PLAIN"}',
        "TIDEMILL_POSTGRES_DSN": "host=127.0.0.1 port=1",
    }
    said = refusal(options, *arguments)
    assert re.search(
        r'TIDEMILL_KAFKA_OPTIONS cannot be used: No such configuration property: \\?"sasl.mechanims', said
    ), said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ('{"security.protocol": "SSSL"}', 'Invalid value "SSSL" for configuration property "security.protocol"'),
        ('{"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"}', "sasl.username and sasl.password must be set"),
        ('{"security.protocol": "SSL", "ssl.ca.location": "/nowhere"}', "ssl.ca.location failed"),
    ],
)
def test_a_value_that_the_kafka_client_refuses_is_named(refused, monkeypatch, options, said):
    monkeypatch.setenv("TIDEMILL_KAFKA_OPTIONS", options)
    monkeypatch.setenv("TIDEMILL_POSTGRES_DSN", "host=127.0.0.1 port=1")
    sentence = refused("cluster", "show")
    assert sentence.startswith("TIDEMILL_KAFKA_OPTIONS cannot be used: ")
    assert said in sentence
