"""The page of the fleet, from what the background has read."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from connectors.owner_clocks import OwnerClock, Seen
from tests.support.waiting import eventually
from tests.support.web_site import running_site
from tidemill.lag import Waiting
from tidemill.members import Workers
from tidemill.target import wall_clock
from tidemill.web.parts import Parts

HOSTILE = "<img src=x onerror=alert(1)>"


def parts(**changes):
    now = wall_clock()
    executor = {
        "name": "e-0", "host": "machine", "version": "1", "state": "running", "ill": None, "shares_its_name": False,
        "slots": 3, "free": 1, "classes": {"10s": {"slots": 3, "free": 1}}, "windows": {"10s": {"0": 4, "1": 4}},
        "attempts": ["j#r"], "gives": "basic sandbox; limits memory", "capabilities": {"lacks": [f"no {HOSTILE}"]},
    }  # fmt: skip
    found = Parts(
        partitions=2,
        connector="RUNNING",
        waiting={"sink": Waiting(records=0, since=None), "executors.10s": Waiting(records=7, since=now)},
        executors=[executor],
        workers=Workers(group="g", state="stable", held={0: "stream-0"}),
        clocks={0: Seen(clock=OwnerClock(watermark=now - timedelta(minutes=2)), appended_at=now)},
        problems=(),
    )
    return msgspec.structs.replace(found, **changes)


@pytest.fixture
def page(target, database):
    def shown(found):
        with running_site(target, {"parts": lambda: found}) as site:
            return eventually(lambda: text if "As of" in (text := site.get("/fleet").text) else None)

    return shown


def test_executors_show_their_slots_windows_and_attempts(page):
    text = page(parts())
    for each in ("e-0", "2 of 3 slots of 10s busy", "0: 4, 1: 4", 'href="/runs/j%23r"', "executors of 10s"):
        assert each in text


def test_executors_show_what_they_give_and_what_they_lack(page):
    text = page(parts())
    assert "<li>basic sandbox</li><li>limits memory</li>" in text
    assert "no &lt;img src=x onerror=alert(1)&gt;." in text


def test_an_ill_executor_is_marked_and_says_why(page):
    (executor,) = parts().executors
    assert "It is ill: the disk is full." in page(
        parts(executors=[executor | {"state": "ill", "ill": "the disk is full"}])
    )


def test_a_partition_without_a_worker_and_one_that_stands_still_are_marked(page):
    text = page(parts())
    assert "no worker" in text
    assert "stream-0" in text
    assert "120 s" in text


def test_without_kafka_the_page_says_so(page):
    text = page(
        parts(
            partitions=None, waiting=None, executors=None, workers=None, clocks=None, problems=(f"Kafka at {HOSTILE}",)
        )
    )
    assert "Kafka does not answer" in text
    assert "<img src=x" not in text
