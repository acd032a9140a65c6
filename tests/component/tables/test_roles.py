"""What the roles may do in Postgres is what the table in connectors/roles.py says, and nothing else."""

from __future__ import annotations

import psycopg
import pytest

from connectors.migrate import migrate
from connectors.policies import policies
from connectors.rights import MissingRightsError
from connectors.roles import DEFAULT_PREFIX, ROLES, bring_roles, found_grants, grants, names_of

NAMES = names_of(DEFAULT_PREFIX)
OF_TENANTS = {each.table for each in policies()}
DEFINERS = """
    select proname, proacl is null as for_all, proconfig::text, prorettype = 'trigger'::regtype as is_trigger
    from pg_proc where pronamespace = 'tidemill'::regnamespace and prosecdef
"""
FOR_ALL = {"fence", "fence_ok", "is_taken"}
"""What everybody may call with the rights of the owner: the fence, and whether an id is taken."""


def test_the_roles_have_the_rights_of_the_table_and_no_others(tables):
    assert found_grants(tables, NAMES) == grants()


def test_a_right_by_hand_is_taken_back_and_a_missing_one_given(tables_dsn):
    with psycopg.connect(tables_dsn, autocommit=True) as connection:
        connection.execute("grant delete on tidemill.runs to tidemill_sink")
        connection.execute("grant update (note) on tidemill.requests to tidemill_web")
        connection.execute("revoke insert on tidemill.requests from tidemill_operator")
        connection.execute("grant execute on function tidemill.make_week(date) to tidemill_web")
        connection.execute("drop policy by_tenant on tidemill.jobs")
        connection.execute("create policy more on tidemill.jobs using (true)")
        bring_roles(tables_dsn)
        assert found_grants(connection, NAMES) == grants()
        found = connection.execute("select tablename, policyname from pg_policies where schemaname = 'tidemill'")
        assert sorted(found.fetchall()) == sorted((each.table, each.name) for each in policies())


def test_repeated_it_changes_nothing_and_takes_no_lock_of_a_table(tables_dsn):
    with psycopg.connect(tables_dsn) as reader:
        for table in OF_TENANTS:
            reader.execute(f"lock table tidemill.{table} in access share mode")
        assert bring_roles(tables_dsn) == []


def test_no_role_is_a_superuser_or_makes_roles_and_only_the_connectors_replicates(tables):
    found = tables.execute(
        "select rolname, rolcanlogin, rolreplication from pg_roles "
        "where rolname = any (%s) and not (rolsuper or rolcreaterole or rolcreatedb or rolbypassrls)",
        [list(NAMES.values())],
    ).fetchall()
    assert sorted(found) == sorted((NAMES[kind], role.logs_in, role.replicates) for kind, role in ROLES.items())


def test_what_a_reader_reads_of_tenants_has_row_security_and_each_view_asks_as_its_reader(tables):
    read = {each.name.removeprefix("tidemill.") for each in grants() if each.kind == "reader"} - {"tidemill"}
    found = dict(
        tables.execute(
            "select relname, case relkind when 'v' then reloptions::text ~ 'security_invoker=true' "
            "else relrowsecurity end from pg_class "
            "where relnamespace = 'tidemill'::regnamespace and relname = any (%s)",
            [list(read)],
        ).fetchall()
    )
    assert {name for name, secured in found.items() if secured} == OF_TENANTS | {
        "dag_runs",
        "attempts",
        "transitions",
        "backfills",
    }


def test_partitions_have_no_grants(tables):
    tables.execute("select tidemill.make_week(current_date)")
    found = tables.execute(
        "select count(*), count(relacl) from pg_class where relnamespace = 'tidemill'::regnamespace and relispartition"
    ).fetchone()
    assert found[0] > 0
    assert found[1] == 0


def test_functions_that_run_as_the_owner_have_a_fixed_path_and_are_not_for_everybody(tables):
    found = tables.execute(DEFINERS).fetchall()
    assert len(found) > 10
    assert [name for name, _, config, _ in found if "search_path=pg_catalog, pg_temp" not in (config or "")] == []
    assert {name for name, for_all, _, is_trigger in found if for_all and not is_trigger} == FOR_ALL


def test_the_names_begin_with_the_prefix_and_stay(empty_dsn):
    migrate(empty_dsn, "other_")
    with psycopg.connect(empty_dsn) as connection:
        assert found_grants(connection, names_of("other_")) == grants()
    assert bring_roles(empty_dsn) == []
    with psycopg.connect(empty_dsn) as connection:
        known = connection.execute("select kind, name from tidemill.roles").fetchall()
        assert dict(known) == names_of("other_")


def test_an_owner_who_may_not_make_roles_is_told_so(empty_dsn, postgres_server):
    with psycopg.connect(empty_dsn, autocommit=True) as admin:
        admin.execute("create role poor_owner login password 'secret'")
        admin.execute(f'alter database "{empty_dsn.rpartition("/")[2]}" owner to poor_owner')
    own = psycopg.conninfo.make_conninfo(empty_dsn, user="poor_owner", password="secret")
    with pytest.raises(MissingRightsError, match=r"ALTER ROLE \"?poor_owner\"? CREATEROLE;"):
        migrate(own, "poor_")
    with psycopg.connect(empty_dsn, autocommit=True) as admin:
        admin.execute("alter role poor_owner createrole")
    migrate(own, "poor_")
    with psycopg.connect(own) as connection:
        assert found_grants(connection, names_of("poor_")) == grants()
