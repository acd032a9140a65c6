"""An owner's digest says which versions it has read, after any change and after a recovery."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from connectors.owner_clocks import OwnerClock
from schemas.codec import decode
from schemas.digest import DefinitionDigest, digest_of, mix
from tests.support.simulated.log import Log


def written(log: Log) -> DefinitionDigest | None:
    """The digest in the newest clock, as a sink reads it."""
    value = log.stored()["clock"]
    assert value is not None
    return decode(value, OwnerClock).digest


def test_a_new_job_a_change_and_a_deletion_change_the_digest():
    log = Log()
    log.define(3, job_id="a")
    log.define(5, job_id="b")
    owner = log.recover()
    log.turn(owner)
    assert written(log) == digest_of([3, 5])
    for record in (log.define(7, job_id="a"), log.define(8, job_id="b", deleted=True)):
        owner.offer(record)
    log.turn(owner, 1)
    assert written(log) == digest_of([7])


def test_an_older_version_changes_nothing():
    log = Log()
    log.define(7, job_id="a")
    owner = log.recover()
    log.turn(owner)
    owner.offer(log.define(4, job_id="a"))
    log.turn(owner, 30)
    assert written(log) == digest_of([7])


def test_the_next_owner_computes_the_digest_from_what_it_has_recovered():
    """A definition that `state` has lost is missing in the digest, although the clock of the owner before had it."""
    log = Log()
    for version, job in enumerate("abc", start=1):
        log.define(version, job_id=job)
    log.turn(log.recover())
    log.written = [each for each in log.written if each.key != "def/b"]
    owner = log.recover()
    log.turn(owner, 30)
    assert written(log) == digest_of([1, 3])


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=30))
def test_the_digest_is_that_of_the_newest_versions(changes):
    digest, known = DefinitionDigest(), {}
    for version, (owner, deleted) in enumerate(changes, start=1):
        before = known.pop(owner, None)
        if not deleted:
            known[owner] = version
        digest = digest.changed(before, known.get(owner))
    assert digest == digest_of(known.values())
    halves = [digest_of(list(known.values())[begin::2]) for begin in (0, 1)]
    assert halves[0].joined(halves[1]) == digest


def test_sets_of_versions_with_one_count_and_one_sum_have_different_digests():
    sets = [each for each in combinations(range(1, 40), 4) if sum(each) == 80]
    assert len(sets) > 500
    assert len({digest_of(each).mixed for each in sets}) == len(sets)
    assert len({mix(version) for version in range(100_000)}) == 100_000
