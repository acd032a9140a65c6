"""The connector's configuration follows from the settings."""

from __future__ import annotations

import hashlib
import re

import pytest

from connectors.owned import REVISION
from connectors.settings import SourceSettings
from connectors.source import NoAddressError, source_config
from schemas.settings import Connections

DSN = "postgresql://mill:s3cret@db.example:6543/main?sslmode=require"


PAIR = "postgresql://mill:s3cret@a,b:6543/main?target_session_attrs=primary"


def config(dsn=DSN, prefix="tidemill.", primary=0, **settings):
    connections = Connections(postgres_dsn=dsn, topic_prefix=prefix, **settings)
    return source_config(connections, SourceSettings(**settings), primary)


def address(*arguments, **settings):
    found = config(*arguments, **settings)
    return found["database.hostname"], found["database.port"]


def test_the_database_comes_from_the_dsn():
    found = config()
    assert {
        name: found[f"database.{name}"] for name in ("hostname", "port", "user", "password", "dbname", "sslmode")
    } == {
        "hostname": "db.example",
        "port": "6543",
        "user": "mill",
        "password": "s3cret",
        "dbname": "main",
        "sslmode": "require",
    }


def test_connect_may_see_postgres_at_another_address():
    assert address(connect_postgres_host="postgres", connect_postgres_port=5432) == ("postgres", "5432")


def test_of_several_hosts_connect_gets_the_primary():
    assert address(PAIR) == ("a", "5432")
    assert address(PAIR, primary=1) == ("b", "6543")
    assert address(PAIR, primary=1, connect_postgres_host="pa,pb", connect_postgres_port=1) == ("pb", "1")
    assert address(PAIR, primary=1, connect_postgres_host="proxy", connect_postgres_port=1) == ("proxy", "1")


def test_names_of_the_hosts_for_connect_that_do_not_pair_up_are_refused():
    with pytest.raises(NoAddressError, match="TIDEMILL_CONNECT_POSTGRES_HOST names 3 hosts, TIDEMILL_POSTGRES_DSN 2"):
        config(PAIR, connect_postgres_host="a,b,c")


def test_the_slot_survives_a_failover():
    assert config()["slot.failover"] == "true"


@pytest.mark.parametrize(
    ("dsn", "fragment"),
    [
        ("host=/run/postgresql user=a dbname=b", "host '/run/postgresql'"),
        ("user=a dbname=b", "host ''"),
        ("host=a,b user=a dbname=b", "it needs target_session_attrs=primary"),
        ("host=a,b user=a dbname=b target_session_attrs=read-write", "names several hosts"),
        ("host=a dbname=b", "names no user"),
        ("host=a", "names no user and no dbname"),
    ],
)
def test_an_unusable_dsn_is_refused_with_a_sentence(dsn, fragment):
    with pytest.raises(NoAddressError, match=re.escape(fragment)):
        config(dsn)


def test_every_value_is_a_string_as_connect_gives_it_back():
    assert all(isinstance(value, str) for value in config().values())


def test_captured_rows_and_heartbeats_go_to_their_own_topics():
    found = config()
    pattern = re.compile(found["predicates.captured.pattern"])
    assert pattern.fullmatch("tidemill.cdc.tidemill.definitions")
    assert pattern.fullmatch("tidemill.cdc.tidemill.requests")
    assert not pattern.fullmatch("__debezium-heartbeat.tidemill.cdc")
    steps = found["transforms"].split(",")
    assert all(found[f"transforms.{step}.type"] for step in steps)
    assert all(found[f"transforms.{step}.predicate"] == "captured" for step in steps)
    assert [step for step in steps if f"transforms.{step}.negate" in found] == ["heartbeat"]


def test_another_prefix_leads_to_other_topics():
    found = config(prefix="staging.")
    assert found["transforms.topic.replacement"] == found["topic.prefix"] == "staging.cdc"
    assert found["transforms.heartbeat.replacement"] == "staging.heartbeat"


def test_a_reference_replaces_the_password():
    reference = "${file:/run/secrets/tidemill.properties:password}"
    found = config(connect_postgres_password=reference)
    assert found["database.password"] == reference
    assert "s3cret" not in found.values()


def test_connect_may_log_in_with_another_role_than_who_configures_it():
    found = config(connect_postgres_user="tidemill_connect", connect_postgres_password="other")
    assert (found["database.user"], found["database.password"]) == ("tidemill_connect", "other")


def test_a_change_of_the_written_configuration_raises_the_revision():
    written = "\n".join(f"{name}={value}" for name, value in sorted(config().items()))
    said = (REVISION, hashlib.sha256(written.encode()).hexdigest()[:12])
    assert said == (4, "31af64d9292e"), "the connector's options have changed: raise REVISION and note both here"


def test_the_configuration_names_every_option_of_ours():
    found = config()
    assert set(found["tidemill.options"].split(",")) == found.keys() - {"tidemill.options"}


def test_names_that_must_be_unique_are_settings():
    found = config(connector_name="b-source", slot_name="b")
    assert (found["name"], found["slot.name"], found["publication.name"]) == ("b-source", "b", "tidemill")
