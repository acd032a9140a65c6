"""What attempts may use, in one line for people."""

from __future__ import annotations

import pytest

from tidemill.confined import may_use

NOTHING = dict.fromkeys(("sandbox", "network", "memory", "disk", "cpu", "pids")) | {"unveil": []}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({}, None),
        ({"sandbox": "strict", "network": "any"}, "sandbox strict, network any"),
        (
            {"memory": 1 << 29, "disk": 3 << 29, "cpu": 0.5, "pids": 9, "unveil": ["r:/srv", "rw:/in"]},
            "memory 512 MB, disk 1.5 GB, cpu 0.5 cores, pids 9, unveil r:/srv rw:/in",
        ),
        ({"cpu": 1.0}, "cpu 1 core"),
    ],
)
def test_what_a_job_may_use_is_one_line(columns, said):
    assert may_use(NOTHING | columns) == said
