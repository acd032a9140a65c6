"""Secrets of real processes: they arrive, and nothing that leaves the executor contains them."""

from __future__ import annotations

import sys
from datetime import timedelta

from schemas.event import Ended, Rejected

VALUE = "correct-horse/battery staple"
WRITES_IT = """
echo "in clear: $T"; printf %s "$T" | base64; printf %s "$T" | od -c | head -1
i=0; while [ $i -lt 2000 ]; do printf 'line %s of many, token=%s\n' $i "$T"; i=$((i + 1)); done
printf %s "$T" | cut -c1-10; printf %s "$T" | cut -c11- >&2
printf '{"found": "%s", "plain": 1.50}' "$T" > "$TIDEMILL_RESULT"
"""


def everything(owner, executor):
    return executor.log.read_text() + str(owner.heard) + str(owner.batches)


def test_a_secret_is_resolved_and_never_reported(owner, executors, objects, tmp_path):
    (tmp_path / "token").write_text("hunter2\n")
    executor = executors.start(secrets_dir=tmp_path)
    ended = owner.run(objects.script('[ "$T" = hunter2 ] && echo "$T"'), env={"T": "secret:token"})
    assert (ended.exit_code, ended.output) == (0, "***\n")
    refused = owner.run(objects.script("true"), env={"T": "secret:other"})
    assert isinstance(refused, Rejected)
    assert "'other'" in refused.reason
    assert "hunter2" not in everything(owner, executor)


def test_the_log_in_s3_the_output_and_the_result_are_masked(owner, executors, objects, tmp_path):
    (tmp_path / "token").write_text(VALUE)
    executor = executors.start(secrets_dir=tmp_path)
    order = owner.order(objects.script(WRITES_IT), env={"T": "secret:token"})
    owner.dispatch(order)
    ended = owner.end_of(order)
    assert (ended.exit_code, bytes(ended.result.value)) == (0, b'{"found": "***", "plain": 1.50}')
    stored = objects.read(ended.log_uri).decode()
    for text in (ended.output, stored, everything(owner, executor)):
        assert not any(VALUE[at : at + 8] in text for at in range(len(VALUE) - 7))
    assert "line 7 of many, token=***\n" in stored


def test_a_tenant_gets_only_the_secrets_of_its_list(owner, executors, objects, tmp_path):
    (tmp_path / "billing-db").write_text(VALUE)
    allow = tmp_path / "allow.toml"
    allow.write_text('billing = ["billing-*"]')
    executors.start(secrets_dir=tmp_path, secrets_allow=allow)
    program, env = objects.script('[ "$T" ]'), {"T": "secret:billing-db"}
    assert owner.run(program, env=env, tenant="billing").exit_code == 0
    refused = owner.run(program, env=env, tenant="crm")
    assert isinstance(refused, Rejected)
    assert refused.reason == (
        "tenant 'crm' may not use secret 'billing-db': TIDEMILL_SECRETS_ALLOW of this executor does not name it"
    )


def test_a_slow_command_is_asked_once_and_delays_nobody_else(owner, executors, objects, tmp_path):
    helper, asked = tmp_path / "helper.py", tmp_path / "asked"
    helper.write_text(
        "import json, sys, time\n"
        f"open({str(asked)!r}, 'a').write('x')\n"
        "names = json.load(sys.stdin)['names']; time.sleep(3)\n"
        f"print(json.dumps({{'values': {{name: {VALUE!r} for name in names}}}}))"
    )
    executors.start(secrets_command=f"{sys.executable} -S {helper}")
    program = objects.script('[ "$T" = "correct-horse/battery staple" ]')
    wanting = [owner.order(program, env={"T": "secret:kv/app#token"}) for _ in range(5)]
    without = owner.order(objects.script("true"))
    owner.dispatch(*wanting, without)
    ends = [owner.end_of(each) for each in (without, *wanting)]
    assert [each.exit_code for each in ends] == [0] * 6
    assert all(isinstance(each, Ended) and each.started_at - ends[0].at > timedelta(seconds=1) for each in ends[1:])
    assert asked.read_text() == "x"
