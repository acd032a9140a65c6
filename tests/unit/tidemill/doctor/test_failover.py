"""The doctor says whether a standby of Postgres may take over."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.unit.tidemill.doctor.test_checks import POSTGRES, SLOT
from tidemill.doctor.check_postgres import failover
from tidemill.doctor.finding import Level

COPIED = replace(SLOT, failover=True)
SETTINGS = POSTGRES.settings | {"synchronized_standby_slots": "db_2"}


def test_a_dsn_with_one_host_asks_for_no_standby():
    assert list(failover(POSTGRES)) == []


@pytest.mark.parametrize(
    ("slot", "settings", "level", "fragment"),
    [
        (SLOT, SETTINGS, Level.WARN, "no standby copies the slot tidemill"),
        (COPIED, POSTGRES.settings, Level.WARN, "synchronized_standby_slots is empty"),
        (COPIED, SETTINGS, Level.OK, "a standby may take over"),
    ],
)
def test_a_standby_needs_a_copy_of_the_slot_and_every_row_that_the_connector_reads(slot, settings, level, fragment):
    (found,) = failover(replace(POSTGRES, hosts=2, slot=slot, settings=settings))
    assert found.level is level
    assert fragment in found.sentence
