"""Secrets of an executor: files, tenants, and how long a value is kept."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from datetime import timedelta

import pytest

from executors.s3 import UnreachableError
from executors.secrets.allow_list import AllowList
from executors.secrets.directory import Directory
from executors.secrets.provider import MAX_SECRET_BYTES, NoProvider, SecretError
from executors.secrets.store import NO_SECRETS, Secrets
from tests.support.attempt_runner import claim

MINUTE = timedelta(minutes=1)


def wants(*names, tenant="default"):
    return claim(env={f"V{at}": f"secret:{name}" for at, name in enumerate(names)}, tenant=tenant).polled.dispatch


def secrets(provider, allowed=None, max_age=MINUTE, fetch_timeout=MINUTE):
    return closing(Secrets(provider, AllowList(allowed), max_age=max_age, fetch_timeout=fetch_timeout))


class Counting:
    """A provider that counts how often it is asked, and answers when it may."""

    def __init__(self):
        self.asked = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def stamp(self, _):
        return None

    def read(self, names):
        self.asked.append(list(names))
        assert self.may_answer.wait(10)
        return {name: SecretError(f"no {name}") if name == "absent" else f"value of {name}" for name in names}


def test_a_secret_is_its_file_without_the_final_newline(tmp_path):
    (tmp_path / "db").write_text("a\nb\n")
    assert Directory(tmp_path).read(["db"]) == {"db": "a\nb"}


@pytest.mark.parametrize(
    "name", ["", "../etc/passwd", ".hidden", "absent", "a/b", "binary", "a\0b", "\ud800", "latin", "long"]
)
def test_an_unreadable_secret_is_refused_by_name(tmp_path, name):
    (tmp_path / "binary").write_bytes(b"se\0cret")
    (tmp_path / "latin").write_bytes(b"se\xfccret")
    (tmp_path / "long").write_bytes(b"cret" * MAX_SECRET_BYTES)
    provider = Directory(tmp_path)
    provider.stamp(name)
    error = provider.read([name])[name]
    assert isinstance(error, SecretError)
    assert repr(name) in str(error)
    assert "cret" not in str(error).replace("secret", "")


def test_without_a_provider_there_are_no_secrets():
    assert "TIDEMILL_SECRETS_DIR" in str(NoProvider().read(["db"])["db"])


def test_a_job_without_secrets_needs_no_provider_and_has_no_masker():
    with secrets(NoProvider()) as made:
        assert made.at_hand(claim(env={"A": "no secret:db"}).polled.dispatch) is NO_SECRETS
    assert NO_SECRETS.masker is None


def test_a_value_is_kept_until_its_age_is_reached():
    async def play(max_age):
        provider = Counting()
        with secrets(provider, max_age=max_age) as made:
            assert made.at_hand(wants("db")) is None
            assert (await made.resolve(wants("db"))).values == {"db": "value of db"}
            kept = made.at_hand(wants("db"))
            await made.resolve(wants("db", "other"))
        return kept and kept.values, provider.asked

    assert asyncio.run(play(MINUTE)) == ({"db": "value of db"}, [["db"], ["other"]])
    assert asyncio.run(play(timedelta(0))) == (None, [["db"], ["db", "other"]])


def test_attempts_that_start_together_ask_once_and_one_bad_name_is_one_attempts_affair():
    async def play():
        provider = Counting()
        provider.may_answer.clear()
        with secrets(provider) as made:
            attempts = [wants("a", "absent"), wants("a"), wants("a", "b")]
            tasks = [asyncio.create_task(made.resolve(each)) for each in attempts]
            await asyncio.sleep(0)
            provider.may_answer.set()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            again = await asyncio.gather(made.resolve(wants("absent")), return_exceptions=True)
        return provider.asked, found, again

    asked, (refused, first, second), again = asyncio.run(play())
    assert sorted(asked) == [["a", "absent"], ["absent"], ["b"]]
    assert str(refused) == str(again[0]) == "no absent"
    assert (first.values, second.values) == ({"a": "value of a"}, {"a": "value of a", "b": "value of b"})


def test_who_stops_waiting_does_not_stop_the_question_for_others():
    async def play():
        provider = Counting()
        provider.may_answer.clear()
        with secrets(provider) as made:
            first, second = (asyncio.create_task(made.resolve(wants("a"))) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.sleep(0)
            provider.may_answer.set()
            return (await second).values, len(provider.asked)

    assert asyncio.run(play()) == ({"a": "value of a"}, 1)


def test_a_provider_that_is_unreachable_for_a_moment_is_asked_again():
    class Busy(Counting):
        def read(self, names):
            answers = super().read(names)
            if len(self.asked) == 1:
                raise UnreachableError("busy")
            return answers

    async def play(fetch_timeout):
        with secrets(Busy(), fetch_timeout=fetch_timeout) as made:
            return (await made.resolve(wants("a"))).values

    assert asyncio.run(play(MINUTE)) == {"a": "value of a"}
    with pytest.raises(UnreachableError):
        asyncio.run(play(timedelta(milliseconds=100)))


def test_a_file_is_read_again_when_kubernetes_turns_its_link(tmp_path):
    for name, value in (("..1", "old password"), ("..2", "new password")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "db").write_text(value)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "db").symlink_to("..data/db")

    async def play():
        with secrets(Directory(tmp_path), max_age=timedelta(days=1)) as made:
            before = await made.resolve(wants("db"))
            (tmp_path / "..new").symlink_to("..2")
            (tmp_path / "..new").replace(tmp_path / "..data")
            assert made.at_hand(wants("db")) is None
            after = await made.resolve(wants("db"))
            (tmp_path / "..2" / "db").unlink()
            with pytest.raises(SecretError, match="FileNotFoundError"):
                await made.resolve(wants("db"))
            return before.values["db"], after.values["db"], after.mask("new password, old password")

    old, new, masked = asyncio.run(play())
    assert (old, new) == ("old password", "new password")
    assert masked == "***, old***"


def test_a_tenant_may_use_what_the_list_names_and_a_change_of_the_list_holds_at_once(tmp_path):
    allow = tmp_path / "allow.toml"
    allow.write_text('billing = ["billing-*"]\n"*" = ["shared"]\n')
    made = AllowList(allow)
    made.check("billing", ["billing-db", "shared"])
    made.check("crm", ["shared"])
    for tenant, name in (("crm", "billing-db"), ("billing", "crm-db"), (None, "billing-db"), ("*", "x")):
        with pytest.raises(SecretError) as raised:
            made.check(tenant, [name])
        assert str(raised.value).startswith(f"tenant {tenant!r} may not use secret {name!r}: ")
    allow.write_text('crm = ["*"]\n')
    made.check("crm", ["billing-db"])
    with pytest.raises(SecretError):
        made.check("billing", ["billing-db"])


@pytest.mark.parametrize("content", [None, "billing = ", 'billing = "*"', "billing = [1]"])
def test_a_list_that_cannot_be_read_allows_nothing(tmp_path, content):
    allow = tmp_path / "allow.toml"
    allow.write_text('billing = ["*"]')
    made = AllowList(allow)
    made.check("billing", ["db"])
    allow.unlink()
    if content is not None:
        allow.write_text(content)
    with pytest.raises(SecretError, match="TIDEMILL_SECRETS_ALLOW cannot be read"):
        made.check("billing", ["db"])
    AllowList(None).check("billing", ["db"])
