"""Each process of the stack names its port in `tidemill status`, and serves its figures and its health there."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

import orjson
import pytest

from tests.support.observed import Observed
from tests.support.promtool import check_metrics
from tests.support.waiting import eventually
from tidemill.cli import run

pytestmark = pytest.mark.integration
SERVERS = {"postgres", "kafka", "connect", "s3"}
READY_SECONDS = 60


@pytest.fixture
def urls(stack, capsys):
    run(["status", "--json", "--data", str(stack.data)])
    found = {each["name"]: each["metrics"] for each in orjson.loads(capsys.readouterr().out)["processes"]}
    assert {name for name, url in found.items() if url is None} == SERVERS
    return {name: url for name, url in found.items() if url is not None}


def test_each_process_of_ours_is_live_and_ready_and_shows_metrics_that_promtool_accepts(urls):
    assert {"stream-0", "stream-1", "executor-0", "executor-1", "sink", "metrics", "web", "monitor"} < set(urls)
    for name, url in urls.items():
        port = Observed(urlsplit(url).netloc)
        eventually(partial(getattr, port, "is_ready"), READY_SECONDS, f"the readiness of {name}")
        assert port.get("/livez") == (200, "ok\n"), name
        status, text = port.get("/metrics")
        assert status == 200
        assert "tidemill_process_info{" in text
        check_metrics(text)
