"""Every command against one real stack, by exit code and JSON, as scripts use them."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import orjson
import pytest

from connectors.objects import Objects
from infra import stack
from infra.stack import StackOptions
from tests.support.servers.prometheus_server import PrometheusServer
from tests.support.waiting import eventually
from tidemill.cli import run
from tidemill.target import connections

REPOSITORY = Path(__file__).parents[2]
ETL = REPOSITORY / "examples" / "etl" / "etl.yaml"
SCRAPE_SECONDS = 60
STEPS = ["extract", "by-country", "by-customer", "by-product", "load", "report"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    stack.start_detached(StackOptions(data=folder, observe=True, until_parent_exits=True))
    yield folder
    stack.stop(folder, 60)


@pytest.fixture
def tidemill(data, capsys):
    """A function that runs a command and returns its output; with standard error if it must fail."""

    def call(*arguments: str, code: int = 0) -> str:
        ended_with = run([*arguments, "--data", str(data)])
        printed = capsys.readouterr()
        assert ended_with == code, printed.out + printed.err
        return printed.out if code == 0 else printed.out + printed.err

    return call


@pytest.fixture
def shown(tidemill):
    return lambda *arguments, code=0: orjson.loads(tidemill(*arguments, "--json", code=code))


def test_the_status_shows_addresses_processes_connector_lag_and_executors(shown):
    seen = shown("status")
    assert set(seen["addresses"]) == {"postgres", "kafka", "connect", "s3", "web", "api", "prometheus"}
    processes = {each["name"]: each for each in seen["processes"]}
    assert {"postgres", "kafka", "connect", "s3", "stream-0", "executor-0", "sink"} <= set(processes)
    assert {each["state"] for each in processes.values()} == {"running"}
    assert all(each["pid"] > 0 for each in processes.values())
    assert seen["connector"] == "RUNNING"
    assert {"sink", "streams", "executors.10s"} <= set(seen["lag"])
    (executor,) = seen["executors"]
    assert (executor["name"], executor["state"]) == ("executor-0", "running")
    assert 0 < executor["free"] <= executor["slots"]


def test_prometheus_scrapes_every_process_of_ours_and_has_the_rules(shown, data):
    seen = shown("status")
    prometheus = PrometheusServer(seen["addresses"]["prometheus"], data)
    ours = {each["name"] for each in seen["processes"] if each["metrics"]}
    assert {"stream-0", "executor-0", "sink", "web", "connect-supervisor"} <= ours

    def answering():
        return {each["metric"]["instance"] for each in prometheus.query("up == 1")}

    eventually(lambda: answering() == ours, SCRAPE_SECONDS, lambda: f"{ours - answering()} answer Prometheus: this")
    eventually(lambda: set(health_of_rules(prometheus)) == {"ok"}, SCRAPE_SECONDS)


def health_of_rules(prometheus):
    return [rule["health"] for group in prometheus.get("rules")["groups"] for rule in group["rules"]]


def test_a_second_stack_in_the_same_folder_is_refused(tidemill):
    assert "already runs" in tidemill("up", "--detach", code=1)


def test_migrating_again_changes_nothing(tidemill):
    said = tidemill("migrate")
    assert said.count("up to date") == 4


def test_a_command_becomes_a_job_and_a_run_that_is_waited_for(tidemill, shown):
    tidemill("job", "put", "greet", "--command", 'cat; echo " $1 $WHOM"', "--arg", "hello", "--env", "WHOM=you")
    assert tidemill("run", "greet", "--request-id", "g1", "--payload", "[1]", "--wait") == "greet#g1 succeeded\n"
    assert tidemill("logs", "greet#g1") == "[1] hello you\n"
    greeting = shown("show", "greet#g1")
    assert [each["ended_as"] for each in greeting["attempts"]] == ["succeeded"]
    assert [each["state"] for each in greeting["transitions"]] == ["queued", "running", "succeeded"]
    assert greeting["attempts"][0]["sha256"] == shown("job", "show", "greet")["sha256"]


def test_a_file_becomes_a_job(tidemill, tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho from a file\n")
    tidemill("job", "put", "filed", "--executable", str(program))
    tidemill("run", "filed", "--request-id", "f1", "--wait")
    assert tidemill("logs", "filed#f1") == "from a file\n"


def test_one_statement_runs_the_example(tidemill):
    insert = """insert into jobs (job_id, executable) values ('example', 's3://tidemill/examples/hello.sh')"""
    assert tidemill("sql", "-c", insert) == "INSERT 0 1\n"
    tidemill("run", "example", "--request-id", "e1", "--wait")
    assert "Hello from example#e1" in tidemill("logs", "example#e1")


def test_a_repeated_request_runs_once(tidemill, shown):
    tidemill("job", "put", "once", "--command", "true")
    for _ in range(2):
        tidemill("run", "once", "--request-id", "o1", "--wait")
    assert [each["run_id"] for each in shown("runs", "--job", "once")] == ["once#o1"]
    tidemill("run", "greet", "--request-id", "o1", "--wait")
    assert "greet#o1" in [each["run_id"] for each in shown("runs", "--job", "greet")]


def test_waiting_for_a_failed_run_exits_with_1(tidemill, shown):
    tidemill("job", "put", "fails", "--command", "exit 3")
    assert "failed" in tidemill("run", "fails", "--wait", code=1)
    (failed,) = shown("runs", "--job", "fails", "--state", "failed", "--since", "1h", "--limit", "5")
    assert failed["exit_code"] == 3


def test_a_long_log_is_followed_from_s3_to_its_end(tidemill):
    tidemill("job", "put", "chatty", "--command", "for i in 1 2 3 4; do yes $i | head -n 2000; sleep 1; done")
    tidemill("run", "chatty", "--request-id", "c1", "--wait")
    followed = tidemill("logs", "chatty#c1", "--follow")
    assert followed.split() == [str(number) for number in range(1, 5) for _ in range(2000)]
    assert tidemill("logs", "chatty#c1") == followed


def test_a_log_is_followed_while_it_is_written(tidemill):
    tidemill("job", "put", "slowly", "--command", "for i in 1 2 3; do yes $i | head -n 5000; sleep 1; done")
    run_id = tidemill("run", "slowly").strip()
    assert len(tidemill("logs", run_id, "--follow").split()) == 15000


def test_a_job_is_listed_changed_paused_resumed_and_deleted(tidemill, shown):
    tidemill("job", "put", "nightly", "--command", "true", "--schedule", "0 3 * * *", "--timezone", "Europe/Berlin")
    tidemill("job", "put", "nightly", "--timeout", "90s")
    tidemill("job", "pause", "nightly", "--note", "moving")
    job = shown("job", "show", "nightly")
    assert (job["schedule"], job["timeout"], job["paused"], job["paused_note"]) == (
        "0 3 * * *",
        "PT90S",
        True,
        "moving",
    )
    tidemill("job", "resume", "nightly")
    assert [each["paused"] for each in shown("job", "list") if each["job_id"] == "nightly"] == [False]
    times = shown("next", "nightly", "-n", "2")
    assert [each["local_time"][11:16] for each in times] == ["03:00", "03:00"]
    tidemill("job", "delete", "nightly")
    assert "no job" in tidemill("job", "show", "nightly", code=1)


def sold_by_country():
    """The expected sums, computed from the file: valid lines only, each order once."""
    with (REPOSITORY / "infra/examples/orders.csv").open() as file:
        orders = {each["order_id"]: each for each in csv.DictReader(file) if each["quantity"].isdigit()}
    sold = Counter()
    for each in orders.values():
        sold[each["country"]] += int(each["quantity"]) * int(each["price_cents"])
    return [f"| {country} | {cents / 100:.2f} |" for country, cents in sold.most_common()]


def test_the_example_of_a_dag_leaves_its_report_in_s3(tidemill, shown, data):
    assert "with 6 nodes" in tidemill("dag", "put", str(ETL))
    assert tidemill("run", "etl", "--request-id", "d1", "--wait") == "etl#d1 succeeded\n"
    report = Objects(connections(data)).read("s3://tidemill/etl/etl#d1/report.md").decode()
    assert "\n".join(["| country (6) | sold |", "|---|---|", *sold_by_country(), ""]) in report
    assert tidemill("logs", "etl#d1/report") == report
    assert "57 orders in 61 lines" in tidemill("logs", "etl#d1/extract")
    assert shown("show", "etl#d1/load")["result"]["rows"] == {"country": 6, "customer": 8, "product": 4}
    secret = (data / "secrets" / "tidemill-s3").read_text()
    assert secret not in tidemill("sql", "-c", "select spec from definitions where owner = 'etl'")

    run = shown("dag", "show", "etl#d1")
    assert {each["node_id"]: each["state"] for each in run["nodes"]} == dict.fromkeys(STEPS, "succeeded")
    assert run["critical_path"][0::3] == ["extract", "report"]
    assert '"load" -> "report" [penwidth=3]' in tidemill("dag", "show", "etl#d1", "--dot")
    drawn = tidemill("dag", "show", "etl#d1")
    assert "\n+-+-+\n" in drawn
    assert f"* critical path: {' -> '.join(run['critical_path'])}\n" in drawn
    (listed,) = shown("dag", "runs", "--dag", "etl", "--state", "succeeded", "--since", "1h")
    assert (listed["run_id"], listed["nodes"]) == ("etl#d1", {"succeeded": 6})


def test_a_dag_is_listed_shown_paused_resumed_and_deleted(tidemill, shown):
    tidemill("dag", "put", str(ETL))
    tidemill("dag", "pause", "etl", "--note", "moving")
    (dag,) = [each for each in shown("dag", "list") if each["dag_id"] == "etl"]
    assert (dag["nodes"], dag["paused"], dag["paused_note"]) == (6, True, "moving")
    tidemill("dag", "resume", "etl")
    dag = shown("dag", "show", "etl")
    assert ([each["node_id"] for each in dag["nodes"]], dag["paused"]) == (STEPS, False)
    assert '"load" -> "report"' in tidemill("dag", "show", "etl", "--dot")
    assert "by-country" in tidemill("dag", "show", "etl")
    assert len(tidemill("next", "etl", "-n", "2").splitlines()) == 3
    tidemill("dag", "delete", "etl")
    assert "no DAG" in tidemill("dag", "show", "etl", code=1)


def test_a_run_is_cancelled_and_run_again(tidemill, shown):
    tidemill("job", "put", "slow", "--command", '[ "$TIDEMILL_ATTEMPT" = 2 ] || exec sleep 60', "--timeout", "90s")
    run_id = tidemill("run", "slow").strip()
    assert tidemill("cancel", run_id, "--note", "a test", "--wait") == f"{run_id} cancelled\n"
    assert shown("show", run_id)["reason"] == "cancelled: a test"
    assert "has ended: it is cancelled" in tidemill("cancel", run_id, code=1)
    assert tidemill("rerun", "--job", "slow", "--state", "cancelled").strip() == run_id
    eventually(lambda: shown("show", run_id)["state"] == "succeeded", what="the end of the second life")
    assert tidemill("terminate", "--job", "slow") == "No run is open.\n"
    assert "either a run or --job" in tidemill("cancel", code=2)


def test_explain_tells_why_a_run_ran_or_did_not(tidemill, shown):
    tidemill("job", "put", "often", "--command", "exit 3", "--schedule", "* * * * * *", "--timezone", "Europe/Berlin")
    failed = eventually(lambda: shown("runs", "--job", "often", "--state", "failed"), what="a run that failed")[-1]
    (told,) = shown("explain", failed["run_id"])
    assert (told["answer"], told["timezone"]) == ("failed", "Europe/Berlin")
    assert {"due", "started", "attempt_ended", "ended"} <= {each["name"] for each in told["facts"]}
    assert f"tidemill logs '{failed['run_id']}'" in tidemill("explain", "often", "--at", failed["nominal_time"])

    tidemill("job", "pause", "often", "--note", "moving house")
    assert "it is paused" in tidemill("explain", "often")
    (paused,) = shown("explain", "often", "--at", "2050-01-01 03:00")
    assert paused["answer"] == "paused"
    assert "moving house" in paused["sentence"]
    (never,) = shown("explain", "often@2020-01-01T02:00:00Z")
    assert never["answer"] == "did_not_exist"
    tidemill("job", "delete", "often")
    (gone,) = shown("explain", "often", "--at", "2050-01-01 03:00")
    assert gone["answer"] == "deleted"

    tidemill("job", "put", "asked", "--command", "true")
    tidemill("run", "asked", "--request-id", "a1", "--wait")
    assert "only on request" in tidemill("explain", "asked")
    assert "requested for this time, by request a1" in tidemill("explain", "asked#a1")
    assert "neither a job" in tidemill("explain", "@", code=2)


def test_a_run_can_be_requested_for_a_time(tidemill, shown):
    tidemill("job", "put", "later", "--command", "true")
    at = shown("next", "--schedule", "* * * * * *", "-n", "3")[-1]["nominal_time"]
    tidemill("run", "later", "--request-id", "l1", "--at", at, "--wait")
    later = shown("show", "later#l1")
    assert later["nominal_time"] == at
    assert later["started_at"] >= at


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("job", "put", "bad", "--command", "true", "--schedule", "61 * * * *"), 2, "61"),
        (("job", "put", "bad@id", "--command", "true"), 2, "job_id"),
        (("job", "put", "bad", "--command", "true", "--set", "no_such_column=1"), 2, "no_such_column"),
        (("job", "put", "unknown", "--schedule", "@daily"), 1, "no job"),
        (("run", "unknown"), 1, "no job"),
        (("show", "unknown"), 1, "no run"),
        (("logs", "unknown"), 1, "no run"),
        (("next", "unknown"), 1, "no job"),
        (("explain", "unknown"), 1, "no job"),
        (("explain", "unknown@2026-11-21T02:00:00Z"), 1, "no job"),
        (("job", "pause", "unknown"), 1, "no job"),
        (("job", "delete", "unknown"), 1, "no job"),
        (("dag", "put", "unknown.yaml"), 2, "cannot be read"),
        (("dag", "show", "unknown#r"), 1, "there is no run"),
        (("dag", "pause", "unknown"), 1, "no DAG"),
        (("sql", "-c", "selec 1"), 2, "syntax"),
    ],
)
def test_an_impossible_command_is_refused_with_a_sentence(tidemill, arguments, code, said):
    printed = tidemill(*arguments, code=code)
    assert said in printed
    assert len(printed.splitlines()) == 1


def test_none_of_these_commands_caused_a_problem(shown):
    assert shown("problems") == []
