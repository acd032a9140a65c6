"""Whether an executor can give what a job asks for, and the sentence if it cannot."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.confinement import Capabilities, Confinement, Limit, Network, Sandbox, demands, unmet
from schemas.job import JobSpec

ALL = Capabilities(
    sandboxes=(Sandbox.BASIC, Sandbox.STRICT), limits=tuple(Limit), unveil=("r:/srv/www", "rw:/srv/in", "rwx:/opt/")
)
ALLOWS = "it allows r:/srv/www, rw:/srv/in, rwx:/opt/"
PATHS = st.sampled_from(["r:/srv/www", "r:/srv/www/a", "w:/srv/www", "rw:/srv/in/x", "rx:/opt/tool", "r:/", "r:/srv"])
ASKED = st.builds(
    Confinement,
    sandbox=st.sampled_from([None, Sandbox.BASIC, Sandbox.STRICT]),
    memory=st.sampled_from([None, 1 << 20, 1 << 33]),
    disk=st.sampled_from([None, 1 << 20]),
    cpu=st.sampled_from([None, 0.5, 4.0]),
    pids=st.sampled_from([None, 1, 100]),
    network=st.sampled_from([None, *Network]),
    unveil=st.lists(PATHS, max_size=3, unique=True).map(tuple),
)
GIVEN = st.builds(
    Capabilities,
    sandboxes=st.sampled_from([(), (Sandbox.BASIC,), (Sandbox.BASIC, Sandbox.STRICT)]),
    limits=st.lists(st.sampled_from(list(Limit)), unique=True).map(tuple),
    unveil=st.lists(st.sampled_from(ALL.unveil), unique=True).map(tuple),
)


@pytest.mark.parametrize(
    ("asked", "given_", "said"),
    [
        ({}, Capabilities(), None),
        ({"network": Network.ANY}, Capabilities(), None),
        (
            {"sandbox": Sandbox.STRICT},
            Capabilities(sandboxes=(Sandbox.BASIC,)),
            "the executor cannot give sandbox strict (it gives basic)",
        ),
        (
            {"sandbox": Sandbox.BASIC, "memory": 1, "disk": 1, "network": Network.NONE},
            Capabilities(limits=(Limit.DISK,)),
            "the executor cannot give sandbox basic (it gives none), a limit of memory and network none",
        ),
        ({"disk": 1, "pids": 1}, ALL, None),
        ({"pids": 1, "cpu": 1.0, "memory": 1}, Capabilities(), "the executor cannot give limits (memory, cpu, pids)"),
        ({"pids": 1}, Capabilities(), "the executor cannot give a limit of pids"),
        ({"unveil": ("r:/srv/www", "r:/srv/www/a", "rw:/srv/in", "x:/opt/tool", "rwx:/opt")}, ALL, None),
        (
            {"unveil": ("rw:/srv/www", "r:/srv/wwww")},
            ALL,
            f"the executor cannot give unveil rw:/srv/www, r:/srv/wwww ({ALLOWS})",
        ),
        ({"unveil": ("r:/etc",)}, Capabilities(), "the executor cannot give unveil r:/etc (it allows nothing)"),
        ({"unveil": ("r:/etc", "r:/")}, Capabilities(unveil=("r:/",)), None),
    ],
)
def test_what_is_missing_is_said(asked, given_, said) -> None:
    assert unmet(Confinement(**asked), given_) == said


@given(ASKED, GIVEN)
def test_amounts_do_not_decide_who_can_run_it(asked, given_) -> None:
    assert unmet(demands(asked), given_) == unmet(asked, given_)


@given(ASKED, GIVEN)
def test_an_executor_that_can_do_more_is_never_refused_for_it(asked, given_) -> None:
    more = msgspec.structs.replace(
        given_, sandboxes=ALL.sandboxes, limits=ALL.limits, unveil=(*given_.unveil, *ALL.unveil)
    )
    assert unmet(asked, given_) is not None or unmet(asked, more) is None


@given(ASKED)
def test_a_job_carries_its_confinement(asked) -> None:
    job = JobSpec(job_id="j", executable="s3://tidemill/x", **msgspec.structs.asdict(asked))
    assert (job.confinement or Confinement()) == asked


def test_a_job_that_asks_for_nothing_has_no_confinement() -> None:
    assert JobSpec(job_id="j", executable="s3://tidemill/x").confinement is None
