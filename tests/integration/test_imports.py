"""What people have becomes jobs that run, and the same file again changes nothing."""

from __future__ import annotations

import pytest

from tidemill.importing.crontab import read_crontab
from tidemill.importing.write import write
from tidemill.target import connections

pytestmark = pytest.mark.integration


def test_a_line_of_a_crontab_runs_with_its_input_and_a_second_import_changes_nothing(stack, name):
    target = connections(stack.data)
    text = f"GREETING=Hello\n@daily echo $GREETING; cat%from {name}%100\\%\n@reboot true\n@daily echo other\n"
    plan = read_crontab(text, timezone="Europe/Berlin", prefix=name)
    written = list(write(plan, target, {"tenant": "imported"}))
    assert [each.outcome for each in written] == ["created", "created"]
    run = stack.wait_until_final(stack.request(written[0].job_id, f"{name}r"))
    assert run["state"] == "succeeded"
    (attempt,) = stack.attempts(run["run_id"])
    assert attempt["output"] == f"Hello\nfrom {name}\n100%\n"
    assert [each.outcome for each in write(plan, target, {})] == ["unchanged", "unchanged"]
    moved = read_crontab(text.replace("@daily echo other", "@hourly echo other"), timezone="UTC", prefix=name)
    assert [each.outcome for each in write(moved, target, {})] == ["changed", "changed"]


def test_a_job_that_the_database_refuses_says_why_and_stops_no_other(stack, name):
    plan = read_crontab("TIDEMILL_X=1\n@daily a\nTIDEMILL_X=1\n", timezone="UTC", prefix=name)
    good = read_crontab("@daily b\n", timezone="UTC", prefix=name)
    both = type(plan)(jobs=(*plan.jobs, *good.jobs), rejected=())
    refused, created = write(both, connections(stack.data), {})
    assert (refused.outcome, created.outcome) == ("refused", "created")
    assert "TIDEMILL_X" in refused.why
