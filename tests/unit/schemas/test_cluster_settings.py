"""Settings of the deployment: processes obey the record, and a contradiction is refused with a remedy."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from schemas.cluster import Cluster, DisagreementError, Margins, agreed, check_margins, check_values, in_words
from schemas.cluster_record import Found, of_deployment, settled
from schemas.settings import AgreedSettings, Connections
from schemas.topics import EXECUTOR_TOPICS, STREAM_TOPICS, runs_topic
from streams.core.settings import CoreSettings
from streams.settings import StreamSettings
from tidemill.cluster import parse
from tidemill.target import UsageError

SECOND = timedelta(seconds=1)
CLUSTER = Cluster(version=3, timeout_classes="10s,1m", lease=20 * SECOND)


def found(cluster=CLUSTER, n=4, **others):
    names = [*STREAM_TOPICS, *(runs_topic(each) for each in CLUSTER.classes)]
    return Found(cluster=cluster, counts={f"tidemill.{each}": n for each in names} | {"cdc": 1} | others)


def settle(place, where=None, topics=STREAM_TOPICS):
    return settled(place, where or found(), topics, with_runs=True)


def test_an_unset_variable_takes_the_value_of_the_record():
    place, cluster = settle(Connections())
    assert (place.partitions, place.timeout_classes, cluster) == (4, "10s,1m", CLUSTER)
    assert agreed(StreamSettings(), CLUSTER).lease == 20 * SECOND


def test_a_variable_that_agrees_is_accepted_in_any_spelling():
    place, _ = settle(Connections(partitions=4, timeout_classes="1m, 10s"))
    assert place.timeout_classes == "10s,1m"
    assert agreed(StreamSettings(lease=20 * SECOND), CLUSTER).lease == 20 * SECOND


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (StreamSettings(lease=4 * SECOND), "TIDEMILL_LEASE is PT4S, and this deployment has lease=PT20S"),
        (AgreedSettings(request_ttl=timedelta(days=3)), "TIDEMILL_REQUEST_TTL is P3D, and this deployment has .*=P7D"),
        (Connections(timeout_classes="10s,1h"), "TIDEMILL_TIMEOUT_CLASSES is 10s,1h, .* `tidemill cluster set timeout"),
    ],
)
def test_a_contradicting_variable_is_refused_with_both_values_and_a_remedy(settings, said):
    with pytest.raises(DisagreementError, match=said):
        agreed(settings, CLUSTER)


def test_another_number_of_partitions_is_refused_by_every_process():
    for topics in (STREAM_TOPICS, EXECUTOR_TOPICS):
        with pytest.raises(DisagreementError, match="TIDEMILL_PARTITIONS is 8, and the topics have 4 partitions"):
            settle(Connections(partitions=8), topics=topics)


def test_a_process_with_missing_or_differently_partitioned_topics_does_not_start():
    counts = found().counts
    del counts["tidemill.runs.1m"]
    with pytest.raises(DisagreementError, match=r"there is no topic tidemill\.runs\.1m \(timeout classes 10s,1m\)"):
        settle(Connections(), Found(cluster=CLUSTER, counts=counts))
    with pytest.raises(DisagreementError, match=r"tidemill\.runs\.1m has 1 partitions, tidemill\.cdc has 4"):
        settle(Connections(), found(**{"tidemill.runs.1m": 1}))


def test_a_process_started_before_the_first_migration_says_so():
    with pytest.raises(DisagreementError, match="run `tidemill migrate` first"):
        settle(Connections(), found(cluster=None))


def test_a_read_only_client_uses_the_record_whatever_its_environment_says():
    place = of_deployment(Connections(partitions=64, timeout_classes="1h"), found())
    assert (place.partitions, place.timeout_classes) == (4, "10s,1m")


def executor(margin, interval=3):
    return [Margins(name="e-0", lease_margin=margin * SECOND, heartbeat_interval=interval * SECOND)]


def test_a_lease_that_an_executor_cannot_renew_in_time_is_refused_with_the_numbers():
    check_margins(Cluster(), executor(5))
    with pytest.raises(DisagreementError, match=r"lease is PT4S, and the executor e-0 needs at least PT11S"):
        check_margins(Cluster(lease=4 * SECOND), executor(5))
    with pytest.raises(DisagreementError, match="claim_grace is PT5S, and the executor e-0 gives up a claim PT5S"):
        check_margins(Cluster(claim_grace=5 * SECOND), executor(5))


def test_unusable_values_are_refused():
    with pytest.raises(DisagreementError, match="lease is P0D: it must be longer than 0"):
        check_values(Cluster(lease=0 * SECOND))
    with pytest.raises(DisagreementError, match="dispatch_valid_for is PT3600S: at most PT1800S"):
        check_values(Cluster(dispatch_valid_for=3600 * SECOND))


def test_the_defaults_equal_those_of_the_core():
    settings, cluster = CoreSettings(), Cluster()
    assert (settings.lease, settings.claim_grace) == (cluster.lease, cluster.claim_grace)
    assert (settings.request_ttl, settings.dispatch_valid_for) == (cluster.request_ttl, cluster.dispatch_valid_for)
    assert StreamSettings().core(CLUSTER).cluster_version == 3


def test_no_client_lets_a_broker_create_a_topic():
    assert Connections().kafka()["allow.auto.create.topics"] is False


def test_a_written_duration_can_be_read_back():
    assert [in_words(each) for each in (SECOND / 2, 90 * SECOND, timedelta(days=7))] == ["PT0.5S", "PT90S", "P7D"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("lease=90", 90), ("lease=90s", 90), ("lease=5m", 300), ("lease=PT90S", 90), ("lease=P1D", 86_400)],
)
def test_a_duration_of_the_deployment_is_accepted_in_common_forms(text, seconds):
    assert parse([text]) == {"lease": timedelta(seconds=seconds)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lease=P1M", "lease is 'P1M': it must be a duration, such as 90s, 5m or PT90S"),
        ("lease=long", "lease is 'long': it must be a duration, such as 90s, 5m or PT90S"),
        ("lase=5s", "there is no setting lase; did you mean lease?"),
        ("partitions=16", "the number of partitions cannot be changed after the topics are made"),
        ("lease", "'lease' is not of the form NAME=VALUE; names are "),
    ],
)
def test_an_unknown_setting_of_the_deployment_is_refused(text, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        parse([text])
