"""Who may do what in SQL: each row of the table is an action, each column a role, each cell what Postgres answers.

A number is the count of rows that the statement sees or changes, `-` is Postgres's own `permission denied`, and `S` is
the action's sentence. Tenant `a` has the job `job-a` and the DAG `dag-a`, with a row in each table; `b` has the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import psycopg
import pytest

from connectors.migrate import migrate
from tests.support.dag_rows import put
from tests.support.read_model_rows import add_story, allow_writes

PREFIX = "matrix_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    session: str
    """The role that logs in."""
    role: str | None = None
    """What it sets as its role for one transaction."""
    setting: str | None = None
    """Its setting tidemill.tenants."""
    member_of: str | None = None
    members: tuple[tuple[str, str], ...] = ()
    """Its rows of tidemill.members: tenant and right."""
    everywhere: bool = False

    @property
    def name(self) -> str:
        return self.role or self.session

    def tenants(self, *rights: str) -> str:
        """As a sentence says it."""
        found = [tenant for tenant, right in self.members if right in rights]
        if self.role:
            found = [each for each in (self.setting or "").strip("{}").split(",") if each]
        if self.everywhere or found == ["*"]:
            return "every tenant"
        return {0: "no tenant", 1: f"tenant {found[0] if found else ''}"}.get(len(found), "tenants " + ", ".join(found))


ACTORS = {
    "reader": Actor(session="m_reader", member_of="reader", members=(("a", "read"),)),
    "operator": Actor(session="m_operator", member_of="operator", members=(("a", "operate"),)),
    "writer": Actor(session="m_writer", member_of="writer", members=(("a", "write"),)),
    "both": Actor(session="m_both", member_of="writer", members=(("a", "write"), ("b", "operate"))),
    "lapsed": Actor(session="m_lapsed", member_of="writer"),
    "liar": Actor(session="m_liar", member_of="writer", members=(("a", "write"),), setting="{b}"),
    "all": Actor(session="m_all", member_of="reader", members=(("*", "read"),)),
    "job": Actor(session="m_job", members=(("a", "read"),)),
    "admin": Actor(session="m_admin", member_of="admin", everywhere=True),
    "api_r": Actor(session=f"{PREFIX}api", role=f"{PREFIX}reader", setting="{a}"),
    "api_w": Actor(session=f"{PREFIX}api", role=f"{PREFIX}writer", setting="{a}"),
    "api_0": Actor(session=f"{PREFIX}api", role=f"{PREFIX}writer"),
    "api": Actor(session=f"{PREFIX}api", setting="{a,b}"),
    "web": Actor(session=f"{PREFIX}web", everywhere=True),
    "monitor": Actor(session=f"{PREFIX}monitor", members=(("default", "write"),)),
    "sink": Actor(session=f"{PREFIX}sink"),
    "connect": Actor(session=f"{PREFIX}connect"),
}

READS = {
    "see_job": "select from tidemill.jobs where job_id = 'job-{t}'",
    "see_versions": "select distinct kind from tidemill.definitions where owner = 'job-{t}'",
    "see_run": "select from tidemill.runs where run_id = 'job-{t}#r'",
    "see_attempt": "select log_uri from tidemill.attempts where run_id = 'job-{t}#r'",
    "see_transition": "select from tidemill.transitions where run_id = 'job-{t}#r'",
    "see_problem": "select from tidemill.problems where owner = 'job-{t}'",
    "see_node": "select from tidemill.dag_nodes where dag_id = 'dag-{t}'",
    "see_request": "select from tidemill.requests where owner = 'job-{t}'",
    "see_backfill": "select from tidemill.backfills where job_id = 'job-{t}'",
    "see_dag_run": "select from tidemill.dag_runs where dag_id = 'dag-{t}'",
}
ASKS = {
    "run": "insert into tidemill.requests (request_id, job_id) values ('x', 'job-{t}')",
    "run_dag": "insert into tidemill.requests (request_id, dag_id) values ('x', 'dag-{t}')",
    "cancel": "insert into tidemill.requests (request_id, kind, run_id) values ('x', 'cancel', 'job-{t}#r')",
    "rerun": "insert into tidemill.requests (request_id, kind, run_id) values ('x', 'rerun', 'job-{t}#r')",
    "mark": "insert into tidemill.requests (request_id, kind, dag_id, run_id, mark_as) "
    "values ('x', 'mark', 'dag-{t}', 'dag-{t}#r/n', 'skipped')",
    "backfill": "insert into tidemill.requests (request_id, kind, job_id, backfill_from, backfill_to) "
    "values ('x', 'backfill', 'job-{t}', now() - interval '2 h', now() - interval '1 h')",
}
PAUSES = {
    "pause_job": "update tidemill.jobs set paused = true, paused_note = 'why' where job_id = 'job-{t}'",
    "pause_dag": "update tidemill.dags set paused = true where dag_id = 'dag-{t}'",
}
WRITES = {
    "change_job": "update tidemill.jobs set executable = 's3://bucket/evil', sha256 = null where job_id = 'job-{t}'",
    "delete_job": "delete from tidemill.jobs where job_id = 'job-{t}'",
    "delete_dag": "delete from tidemill.dags where dag_id = 'dag-{t}'",
}
SCHEMA = {
    "forge_version": "insert into tidemill.definitions values ('job-a', 'job', 99, now(), true, null)",
    "forge_run": "update tidemill.runs set state = 'succeeded'",
    "forge_offset": "update tidemill.sink_offsets set next_offset = 0",
    "forge_fence": "delete from tidemill.fences",
    "forget_request": "delete from tidemill.requests",
    "empty_jobs": "truncate tidemill.jobs",
    "drop_jobs": "drop table tidemill.jobs",
    "make_table": "create table tidemill.mine (id int)",
    "forge_name": "update tidemill.roles set name = 'm_liar' where kind = 'admin'",
    "take_a_role": f"grant {PREFIX}admin to m_liar",
}
OTHERS = {
    "new_job": "insert into tidemill.jobs (job_id, tenant, executable) values ('new', '{t}', 's3://bucket/x')",
    "new_dag": "insert into tidemill.dags (dag_id, tenant) values ('new', '{t}'); "
    "insert into tidemill.dag_nodes (dag_id, node_id, executable) values ('new', 'n', 's3://bucket/x')",
    "new_node": "insert into tidemill.dag_nodes (dag_id, node_id, executable) values ('dag-{t}', 'm', 's3://bucket/x')",
    "change_node": "update tidemill.dag_nodes set executable = 's3://bucket/evil' where dag_id = 'dag-{t}'",
    "give_away": "update tidemill.jobs set tenant = 'b' where job_id = 'job-a'",
    "take_id": "insert into tidemill.jobs (job_id, tenant, executable) values ('{x}', 'a', 's3://bucket/x')",
    "run_unknown": "insert into tidemill.requests (request_id, job_id) values ('x', 'later')",
    "fence": "select tidemill.fence('job-{t}#r', 7)",
    "fence_unknown": "select tidemill.fence('later#r', 7)",
    "join": "insert into tidemill.members (role, tenant, may) values ('m_liar', 'b', 'write')",
    "see_members": "select from tidemill.members where role = 'm_liar'",
    "prune": "select tidemill.prune('90 days')",
    "make_week": "select tidemill.make_week(current_date)",
    "beat": "update tidemill.heartbeat set at = clock_timestamp()",
    "move_offset": "select set_config('tidemill.sink', 'on', true); update tidemill.sink_offsets set next_offset = 5",
}
STATEMENTS = READS | ASKS | PAUSES | WRITES | SCHEMA | OTHERS

MAY_WRITE = "role {name} may write jobs and DAGs of {writes}"
NOT_ASKED = "role {name} may ask for jobs and DAGs of {operates}, and there is no such job or DAG"
NO_DAG = MAY_WRITE + ", and there is no such DAG; insert its row into tidemill.dags before its nodes"
FENCED = (
    "role {name} may fence runs of {reads}, and there is no job or DAG of this run; pass the value of TIDEMILL_RUN_ID"
)
ONLY_PAUSE = (
    '{id} is "{x}": it belongs to tenant {t}; '
    + MAY_WRITE
    + ", and of this one it may change only paused, paused_note, "
    "resumed_at and catchup_after_pause"
)
OF_ANOTHER = '{id} is "{x}": it belongs to tenant {t}; ' + MAY_WRITE
TENANT = 'tenant is "{t}": ' + MAY_WRITE + "; an admin adds tenants in tidemill.members"
SENTENCES = {
    **dict.fromkeys(ASKS, '{id} is "{x}": ' + NOT_ASKED),
    **dict.fromkeys((*PAUSES, *WRITES), OF_ANOTHER),
    "new_job": TENANT,
    "new_dag": TENANT,
    "new_node": 'dag_id is "dag-{t}": ' + NO_DAG,
    "change_node": 'dag_id is "dag-{t}": ' + NO_DAG,
    "give_away": 'tenant is "b": ' + MAY_WRITE + "; an admin adds tenants in tidemill.members",
    "take_id": 'job_id is "{x}": another tenant has or had a job or DAG of this id; choose another id',
    "run_unknown": 'job_id is "later": ' + NOT_ASKED,
    "fence": 'run_id is "job-{t}#r": ' + FENCED,
    "fence_unknown": 'run_id is "later#r": ' + FENCED,
}

TABLE = """
                 reader operator writer both lapsed liar all job admin api_r api_w api_0 api web monitor sink connect
see_job a        1      1        1      1    0      1    1   -   1     1     1     0     -   1   1       1    -
see_job b        0      0        0      1    0      0    1   -   1     0     0     0     -   1   1       1    -
see_versions a   1      1        1      1    0      1    1   -   1     1     1     0     -   1   1       1    1
see_versions b   0      0        0      1    0      0    1   -   1     0     0     0     -   1   1       1    1
see_run a        1      1        1      1    0      1    1   -   1     1     1     0     -   1   1       1    -
see_run b        0      0        0      1    0      0    1   -   1     0     0     0     -   1   1       1    -
see_attempt a    1      1        1      1    0      1    1   -   1     1     1     0     -   1   1       1    -
see_attempt b    0      0        0      1    0      0    1   -   1     0     0     0     -   1   1       1    -
see_transition a 1      1        1      1    0      1    1   -   1     1     1     0     -   1   1       1    -
see_transition b 0      0        0      1    0      0    1   -   1     0     0     0     -   1   1       1    -
see_problem a    1      1        1      1    0      1    1   -   1     1     1     0     -   1   1       1    -
see_problem b    0      0        0      1    0      0    1   -   1     0     0     0     -   1   1       1    -
see_node a       1      1        1      1    0      1    1   -   1     1     1     0     -   1   1       1    -
see_node b       0      0        0      1    0      0    1   -   1     0     0     0     -   1   1       1    -
see_request a    1      1        1      1    0      1    1   -   1     1     1     0     -   1   1       -    1
see_request b    0      0        0      1    0      0    1   -   1     0     0     0     -   1   1       -    1
see_backfill a   1      1        1      1    0      1    1   -   1     1     1     0     -   1   1       -    -
see_backfill b   0      0        0      1    0      0    1   -   1     0     0     0     -   1   1       -    -
see_dag_run a    1      1        1      1    0      1    1   -   1     1     1     0     -   1   1       -    -
see_dag_run b    0      0        0      1    0      0    1   -   1     0     0     0     -   1   1       -    -
run a            -      1        1      1    S      1    -   -   1     -     1     S     -   1   S       -    -
run b            -      S        S      1    S      S    -   -   1     -     S     S     -   1   S       -    -
run_dag a        -      1        1      1    S      1    -   -   1     -     1     S     -   1   S       -    -
run_dag b        -      S        S      1    S      S    -   -   1     -     S     S     -   1   S       -    -
cancel a         -      1        1      1    S      1    -   -   1     -     1     S     -   1   S       -    -
cancel b         -      S        S      1    S      S    -   -   1     -     S     S     -   1   S       -    -
rerun a          -      1        1      1    S      1    -   -   1     -     1     S     -   1   S       -    -
rerun b          -      S        S      1    S      S    -   -   1     -     S     S     -   1   S       -    -
mark a           -      1        1      1    S      1    -   -   1     -     1     S     -   1   S       -    -
mark b           -      S        S      1    S      S    -   -   1     -     S     S     -   1   S       -    -
backfill a       -      1        1      1    S      1    -   -   1     -     1     S     -   1   S       -    -
backfill b       -      S        S      1    S      S    -   -   1     -     S     S     -   1   S       -    -
pause_job a      -      1        1      1    0      1    -   -   1     -     1     0     -   1   S       -    -
pause_job b      -      0        0      1    0      0    -   -   1     -     0     0     -   1   S       -    -
pause_dag a      -      1        1      1    0      1    -   -   1     -     1     0     -   1   -       -    -
pause_dag b      -      0        0      1    0      0    -   -   1     -     0     0     -   1   -       -    -
change_job a     -      -        1      1    0      1    -   -   1     -     1     0     -   1   S       -    -
change_job b     -      -        0      P    0      0    -   -   1     -     0     0     -   1   S       -    -
delete_job a     -      -        1      1    0      1    -   -   1     -     1     0     -   1   -       -    -
delete_job b     -      -        0      P    0      0    -   -   1     -     0     0     -   1   -       -    -
delete_dag a     -      -        1      1    0      1    -   -   1     -     1     0     -   1   -       -    -
delete_dag b     -      -        0      P    0      0    -   -   1     -     0     0     -   1   -       -    -
new_job a        -      -        1      1    S      1    -   -   1     -     1     S     -   1   S       -    -
new_job b        -      -        S      S    S      S    -   -   1     -     S     S     -   1   S       -    -
new_dag a        -      -        1      1    S      1    -   -   1     -     1     S     -   1   -       -    -
new_dag b        -      -        S      S    S      S    -   -   1     -     S     S     -   1   -       -    -
new_node a       -      -        1      1    S      1    -   -   1     -     1     S     -   1   -       -    -
new_node b       -      -        S      S    S      S    -   -   1     -     S     S     -   1   -       -    -
change_node a    -      -        1      1    0      1    -   -   1     -     1     0     -   1   -       -    -
change_node b    -      -        0      S    0      0    -   -   1     -     0     0     -   1   -       -    -
give_away        -      -        S      S    0      S    -   -   1     -     S     0     -   1   O       -    -
take_id job-b    -      -        S      S    T      S    -   -   U     -     S     T     -   U   T       -    -
take_id dag-b    -      -        S      S    T      S    -   -   C     -     S     T     -   C   T       -    -
take_id gone-b   -      -        S      S    T      S    -   -   1     -     S     T     -   1   T       -    -
run_unknown      -      S        S      S    S      S    -   -   1     -     S     S     -   1   S       -    -
fence a          1      1        1      1    S      1    1   1   1     1     1     S     -   1   S       S    S
fence b          S      S        S      1    S      S    1   S   1     S     S     S     -   1   S       S    S
fence_unknown    S      S        S      S    S      S    S   S   S     S     S     S     -   S   S       S    S
join             -      -        -      -    -      -    -   -   1     -     -     -     -   -   -       -    -
see_members      0      0        0      0    0      1    0   -   1     0     0     0     -   1   1       -    -
prune            -      -        -      -    -      -    -   -   0     -     -     -     -   -   -       -    -
make_week        -      -        -      -    -      -    -   -   -     -     -     -     -   -   -       1    -
beat             -      -        -      -    -      -    -   -   -     -     -     -     -   -   -       -    1
move_offset      -      -        -      -    -      -    -   -   -     -     -     -     -   -   -       1    -
forge_version    -      -        -      -    -      -    -   -   -     -     -     -     -   -   -       -    -
forge_run        -      -        -      -    -      -    -   -   -     -     -     -     -   -   -       K    -
forge_offset     -      -        -      -    -      -    -   -   -     -     -     -     -   -   -       K    -
forge_fence      -      -        -      -    -      -    -   -   -     -     -     -     -   -   -       -    -
forget_request   -      -        -      -    -      -    -   -   -     -     -     -     -   -   -       -    -
empty_jobs       -      -        -      -    -      -    -   -   -     -     -     -     -   -   -       -    -
drop_jobs        -      -        -      -    -      -    -   -   -     -     -     -     -   -   -       -    -
make_table       -      -        -      -    -      -    -   -   -     -     -     -     -   -   -       -    -
forge_name       -      -        -      -    -      -    -   -   -     -     -     -     -   -   -       -    -
take_a_role      -      -        -      -    -      -    -   -   -     -     -     -     -   -   -       -    -
"""
DENIED = "42501"
SQLSTATES = {"U": "23505", "C": "23514", "K": "23514"}
"""A duplicate key; the sentence about jobs and DAGs of one name space; the sentence about tables of the sink."""


NAMES, *LINES = (line.split() for line in TABLE.strip().splitlines())
ROWS = [
    pytest.param(words[0], "".join(words[1 : -len(NAMES)]), words[-len(NAMES) :], id="-".join(words[: -len(NAMES)]))
    for words in LINES
]


def owned(database, tenant):
    """A job and a DAG of the tenant, with a row in each table."""
    job, dag = f"job-{tenant}", f"dag-{tenant}"
    columns = "(job_id, tenant, executable, schedule) values (%s, %s, 's3://bucket/x', '@hourly')"
    with database.transaction():
        database.execute(f"insert into tidemill.jobs {columns}", (job, tenant))
        database.execute(f"insert into tidemill.jobs {columns}", (f"gone-{tenant}", tenant))
        database.execute("delete from tidemill.jobs where job_id = %s", (f"gone-{tenant}",))
        put(database, {"n": []}, dag, tenant=tenant)
    database.execute("insert into tidemill.requests (request_id, job_id) values ('r', %s)", (job,))
    for run_id, owner, kind, node in (
        (f"{job}#r", job, "requested", None),
        (f"{job}#f", job, "backfill", None),
        (f"{dag}#r", dag, "dag", None),
        (f"{dag}#r/n", dag, "node", "n"),
    ):
        database.execute(
            """insert into tidemill.runs (run_id, job_id, dag_id, node_id, tenant, kind,
                   nominal_time, scheduled_time, state, attempt, version, nodes)
               values (%s, %s, %s, %s, %s, %s, current_date, current_date, 'failed', 1, 1, '{"failed": 1}')""",
            (run_id, owner, None if kind != "dag" else owner, node, tenant, kind),
        )
        add_story(
            database,
            run_id,
            attempts=[{"attempt": 1, "token": 1, "log_uri": "s3://bucket/log"}],
            transitions=[{"version": 1, "state": "failed"}],
        )
    database.execute(
        "insert into tidemill.problems (at, partition, record_offset, topic_id, owner, kind, code, reason) "
        "values (now(), 0, %s, '', %s, 'alert', 'x', 'x')",
        (ord(tenant), job),
    )


def made(database, actor):
    """A role of a user, as docs/security.md says."""
    within = f"in role {PREFIX}{actor.member_of}" if actor.member_of else ""
    database.execute(f"create role {actor.session} {within}")
    database.execute(f"grant usage on schema tidemill to {actor.session}")
    for tenant, right in actor.members:
        database.execute("insert into tidemill.members values (%s, %s, %s)", (actor.session, tenant, right))


@pytest.fixture(scope="module")
def database(postgres_server):
    """A superuser's connection to a database with two tenants and all actors."""
    with psycopg.connect(postgres_server("postgres"), autocommit=True) as admin:
        admin.execute("create database access")
    migrate(postgres_server("access"), role_prefix=PREFIX)
    with psycopg.connect(postgres_server("access"), autocommit=True) as connection:
        allow_writes(connection)
        for tenant in "ab":
            owned(connection, tenant)
        connection.execute("insert into tidemill.sink_offsets values ('status', 0, 'id', 0)")
        for actor in ACTORS.values():
            if actor.session.startswith("m_"):
                made(connection, actor)
        connection.execute("reset tidemill.sink")
        yield connection


def answer_of(database, actor, statement):
    """The number of rows, or the error; nothing of it stays."""
    try:
        with database.transaction(force_rollback=True):
            database.execute(f"set local session authorization {actor.session}")
            if actor.role:
                database.execute(f"set local role {actor.role}")
            if actor.setting:
                database.execute("select set_config('tidemill.tenants', %s, true)", (actor.setting,))
            cursor = database.execute(statement)
            while cursor.nextset():
                pass
            database.execute("set constraints all immediate")
            return cursor.rowcount
    except psycopg.Error as error:
        return error


def sentence(code, action, about, statement, who):
    """The whole sentence that this code of the table stands for."""
    thing = f"dag-{about}" if "dag-" in statement else f"job-{about}"
    template = {"S": SENTENCES.get(action), "P": ONLY_PAUSE, "T": TENANT, "O": OF_ANOTHER}[code]
    return template.format(
        name=who.name,
        t="a" if code in "TO" else about,
        x={"take_id": about, "give_away": "job-a"}.get(action, thing),
        id="dag_id" if "dag" in thing else "job_id",
        reads=who.tenants("read", "operate", "write"),
        operates=who.tenants("operate", "write"),
        writes=who.tenants("write"),
    )


def differs(answer, code, action, about, statement, who):
    """What Postgres answered, if the table says another thing; otherwise None."""
    if not isinstance(answer, psycopg.Error):
        return None if str(answer) == code else f"{answer} rows"
    said = answer.diag.message_primary or ""
    if code in SQLSTATES:
        return None if answer.sqlstate == SQLSTATES[code] else said
    if code == "-":
        return None if answer.sqlstate == DENIED and re.match("permission denied|must be owner", said) else said
    if code.isdigit():
        return said
    wanted = sentence(code, action, about, statement, who)
    return None if (answer.sqlstate, said) == (DENIED, wanted) else f"{said}, and not: {wanted}"


@pytest.mark.parametrize(("action", "about", "codes"), ROWS)
def test_each_role_may_do_what_the_table_says(database, action, about, codes):
    statement = STATEMENTS[action].format(t=about, x=about)
    found = {}
    for name, code in zip(NAMES, codes, strict=True):
        answer = answer_of(database, ACTORS[name], statement)
        found[name] = differs(answer, code, action, about, statement, ACTORS[name])
    assert {name: said for name, said in found.items() if said} == {}


def test_the_table_has_every_role_and_every_action():
    assert set(NAMES) == set(ACTORS)
    assert {words[0] for words in LINES} == set(STATEMENTS)
