"""Records and jobs that are bad: nobody can decode them, or the core fails on them (protocol I7)."""

from __future__ import annotations

from schemas.job import JobSpec
from schemas.topics import CDC, REQUESTS
from tests.simulation.plan import Arguments, Dice, Kind
from tests.simulation.things.deployment import Deployment, Size

LANDMINE = "landmine"
"""The core raises whenever it decides an occurrence of this job: `simulation.py` makes it do so."""
BAD = (
    b"",
    b"{",
    b"[1]",
    b'{"__table": "x"}',
    b'{"request_id": 1}',
    b"\xff\xfe",
    b'{"request_id": "x", "job_id": "a@b"}',
)


def append_bad_record(deployment: Deployment, dice: Dice, arguments: Arguments) -> None:
    partition = dice.randrange(deployment.partitions)
    deployment.world.note("somebody", f"writes a record to {arguments['topic']} that cannot be read")
    deployment.brokers.append(arguments["topic"], partition, "alpha", BAD[arguments["which"]])


def define_landmine(deployment: Deployment, _: Dice, __: Arguments) -> None:
    deployment.database.define(JobSpec(job_id=LANDMINE, executable="s3://tidemill/x", schedule="*/2 * * * *"))


def a_record(dice: Dice, _: Size) -> Arguments:
    return {"topic": dice.choice((REQUESTS, CDC)), "which": dice.randrange(len(BAD))}


KINDS = {
    "a record cannot be read": Kind(1.5, a_record, append_bad_record),
    "the core fails on a job": Kind(1, lambda *_: {}, define_landmine),
}
