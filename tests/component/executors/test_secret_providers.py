"""Providers of secrets outside the executor: a command, and AWS Secrets Manager through the real client."""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from executors.s3 import UnreachableError
from executors.secrets.aws import SecretsManager
from executors.secrets.command import MAX_ANSWER_BYTES, Command
from executors.secrets.provider import SecretError

VALUE = "hunter2-hunter2"


@pytest.fixture
def command(tmp_path):
    """A function that makes a command of Python code, which has `names` and `say`."""

    def make(code, **options):
        file = tmp_path / "helper.py"
        file.write_text(
            "import json, os, subprocess, sys, time\nasked = json.load(sys.stdin)\n"
            "say = lambda **values: print(json.dumps({'values': values}))\n" + code
        )
        return Command(f"'{sys.executable}' -S {file}", **options)

    return make


def test_a_command_gets_names_and_answers_values(command):
    made = command("assert asked == {'version': 1, 'names': ['a', 'b']}; say(a='x y', c='?')")
    found = made.read(["a", "b"])
    assert found["a"] == "x y"
    assert "'b' is not known" in str(found["b"])


def test_a_command_sees_the_executors_environment_without_tidemills_own_keys(command, monkeypatch):
    monkeypatch.setenv("VAULT_ADDR", "https://vault")
    monkeypatch.setenv("TIDEMILL_S3_SECRET_KEY", "key")
    made = command("say(a=str([os.environ.get(x) for x in ('VAULT_ADDR', 'TIDEMILL_S3_SECRET_KEY')]))")
    assert made.read(["a"]) == {"a": "['https://vault', None]"}


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (f"say(a='{VALUE}'); sys.exit('{VALUE}')", SecretError, "exit code 1"),
        (f"say(a='{VALUE}'); sys.exit(75)", UnreachableError, "exit code 75"),
        (f"print('{VALUE}')", SecretError, "did not answer"),
        (f"print(json.dumps({{'values': {{'a': ['{VALUE}']}}}}))", SecretError, "did not answer"),
        (f"sys.stdout.write('{VALUE}' * {MAX_ANSWER_BYTES}); time.sleep(60)", SecretError, "more than"),
        (f"say(a='{VALUE}'); sys.stdout.flush(); time.sleep(60)", UnreachableError, "longer than 2 s"),
        (f"say(a='{VALUE}'); subprocess.Popen(['sleep', '60'])", UnreachableError, "longer than 2 s"),
    ],
)
def test_a_command_that_fails_is_ended_in_time_and_nothing_that_it_wrote_is_shown(command, code, kind, said):
    began = time.monotonic()
    with pytest.raises(kind, match=said) as raised:
        command(code, limit_seconds=2).read(["a"])
    assert time.monotonic() - began < 10
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    assert VALUE not in str(raised.value)


def test_a_command_that_does_not_exist_is_named_by_the_kernels_word():
    with pytest.raises(SecretError, match="cannot be started: No such file or directory"):
        Command("/nowhere/helper").read(["a"])


class Aws(BaseHTTPRequestHandler):
    """Speaks the JSON call of AWS Secrets Manager as botocore signs and parses it."""

    def do_POST(self):
        assert self.headers["X-Amz-Target"] == "secretsmanager.GetSecretValue"
        assert "/eu-central-1/secretsmanager/aws4_request" in self.headers["Authorization"]
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["SecretId"]
        self.server.asked.append(asked)
        status, answer = self.server.answers.get(
            asked, (400, {"__type": "ResourceNotFoundException", "Message": f"not {VALUE}"})
        )
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing."""


@pytest.fixture
def aws(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key")
    with closing_server(ThreadingHTTPServer(("127.0.0.1", 0), Aws)) as server:
        server.asked, server.answers = [], {
            "prod/db": (200, {"Name": "prod/db", "SecretString": json.dumps({"password": VALUE, "port": 5432})}),
            "binary": (200, {"SecretBinary": "aHVudGVyMg=="}),
            "denied": (400, {"__type": "AccessDeniedException", "Message": VALUE}),
            "slow": (400, {"__type": "ThrottlingException", "Message": VALUE}),
            "broken": (500, {"__type": "InternalServiceError", "Message": VALUE}),
        }  # fmt: skip
        server.provider = SecretsManager("eu-central-1", f"http://127.0.0.1:{server.server_port}")
        yield server


class closing_server(closing):  # noqa: N801 - it is used as a function
    def __enter__(self):
        threading.Thread(target=self.thing.serve_forever, args=(0.01,), daemon=True).start()
        return self.thing

    def __exit__(self, *_):
        self.thing.shutdown()
        self.thing.server_close()


def test_aws_gives_whole_secrets_and_fields_with_one_call_each(aws):
    found = aws.provider.read(["prod/db#password", "prod/db#port", "prod/db", "binary"])
    assert found == {
        "prod/db#password": VALUE,
        "prod/db#port": "5432",
        "prod/db": json.dumps({"password": VALUE, "port": 5432}),
        "binary": "hunter2",
    }
    assert sorted(aws.asked) == ["binary", "prod/db"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("absent", "'absent': ResourceNotFoundException"),
        ("denied", "'denied': AccessDeniedException"),
        ("prod/db#user", "'prod/db#user' is not a field"),
        ("binary#user", "'binary#user' is not a field"),
        ("", "'' is not the name of a secret"),
    ],
)
def test_what_aws_refuses_for_good_is_refused_by_name(aws, name, said):
    error = aws.provider.read([name])[name]
    assert isinstance(error, SecretError)
    assert said in str(error)
    assert VALUE not in str(error)


@pytest.mark.parametrize("name", ["slow", "broken"])
def test_what_aws_may_answer_later_is_worth_a_retry(aws, name):
    with pytest.raises(UnreachableError) as raised:
        aws.provider.read([name])
    assert VALUE not in str(raised.value)


def test_an_aws_that_nobody_reaches_is_unreachable(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key")
    with pytest.raises(UnreachableError, match="EndpointConnectionError"):
        SecretsManager("eu-central-1", "http://127.0.0.1:9").read(["x"])
