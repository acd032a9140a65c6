"""A failed download is reported in one sentence and leaves no partial file."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from pathlib import Path
from infra.errors import StackError
from infra.jars import Jar, fetch
try:
    fetch([Jar("org.slf4j:slf4j-api:2.0.18", "0" * 64)], Path(sys.argv[1]), print)
except StackError as error:
    sys.exit(str(error))
"""
NOWHERE = "http://127.0.0.1:9"


def test_without_a_network_the_jar_and_the_way_out_are_named(tmp_path):
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "https_proxy", "http_proxy"), NOWHERE)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env={"NO_PROXY": "", **proxies},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("The jar org.slf4j:slf4j-api:2.0.18 could not be downloaded (")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == f"Downloading 1 jars into {tmp_path}; this happens once.\n"
    assert list(tmp_path.glob("*.jar")) == []
