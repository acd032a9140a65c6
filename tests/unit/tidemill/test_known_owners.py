"""The streams' knowledge of jobs and DAGs, from `state` and from unapplied definitions."""

from __future__ import annotations

from schemas.words import DefinitionKind
from tidemill.known_owners import Version, known_by

JOB, DAG = DefinitionKind.JOB, DefinitionKind.DAG


def version(owner, number, kind=JOB):
    return Version(owner=owner, number=number, kind=kind)


def test_the_newest_version_of_an_owner_says_what_it_is():
    known = known_by(3, [version("a", 4), version("b", 5, DAG), version("a", 9, None), version("c", 7)])
    assert (known.newest_version, known.owners) == (9, {"b": DAG, "c": JOB})


def test_a_deletion_of_a_restored_database_that_waits_in_cdc_deletes_nothing():
    """Its version is not newer than the one that is applied: the streams go on with the job."""
    known = known_by(20, [version("a", 20), version("a", 6, None)])
    assert known.owners == {"a": JOB}


def test_what_waits_counts_for_the_versions_that_are_given_from_here_on():
    assert known_by(20, [version("a", 21)]).newest_version == 21
    assert known_by(20, []).newest_version == 20
