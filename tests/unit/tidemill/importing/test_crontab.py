"""A line of a crontab becomes a job that does what cron does, or a sentence that says why it cannot."""

from __future__ import annotations

import subprocess

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.importing.crontab import read_crontab, shell_script

ZONE = "Europe/Paris"


def read(text, **options):
    return read_crontab(text, timezone=ZONE, **options)


def only(text, **options):
    plan = read(text, **options)
    assert not plan.rejected
    (job,) = plan.jobs
    return job


def test_a_line_keeps_its_times_and_what_cron_does_with_late_and_overlapping_runs():
    job = only("*/5 3 * * mon-fri  /usr/bin/backup --all\n")
    assert job.source == "line 1"
    assert job.command == "/usr/bin/backup --all"
    assert job.columns == {
        "schedule": "*/5 3 * * mon-fri",
        "timezone": ZONE,
        "overlap_policy": "allow_all",
        "catchup_policy": "skip",
    }


def test_comments_and_empty_lines_are_no_entries():
    plan = read("# m h dom mon dow command\n\n   # indented\n")
    assert (plan.jobs, plan.rejected, plan.notes) == ((), (), ())


def test_variables_hold_for_the_lines_after_them():
    first, second = read("A=1\n@daily one\n B = \"two words \" \n'C'=x=y\n@daily two\n").jobs
    assert orjson.loads(first.columns["env"]) == {"A": "1"}
    assert orjson.loads(second.columns["env"]) == {"A": "1", "B": "two words ", "C": "x=y"}


def test_variables_about_mail_are_dropped_and_the_plan_says_what_becomes_of_the_output():
    plan = read("MAILTO=ops@example.org\nCONTENT_TYPE=text/plain\n@daily one\n")
    assert "env" not in plan.jobs[0].columns
    assert any("mails the output" in note for note in plan.notes)


def test_variables_of_cronie_set_the_zone_and_the_jitter():
    job = only("CRON_TZ=Asia/Tokyo\nRANDOM_DELAY=45\n0 4 * * * one")
    assert (job.columns["timezone"], job.columns["jitter"]) == ("Asia/Tokyo", "45 minutes")


def test_another_shell_runs_the_command():
    job = only("SHELL=/bin/bash\n@daily echo \"$0\" 'a b'")
    assert subprocess.check_output(["sh", "-c", job.command], text=True).split() == ["/bin/bash", "a", "b"]


def test_a_percent_begins_the_input_and_an_escaped_one_is_a_percent():
    script = shell_script(r"cat; date +\%Y >/dev/null%Dear all,%100\% of $HOME is `full`")
    assert subprocess.check_output(["sh", "-c", script], text=True) == "Dear all,\n100% of $HOME is `full`\n"


@settings(max_examples=40)
@given(st.lists(st.text(st.characters(blacklist_categories=["C"], blacklist_characters="%\\")), min_size=1, max_size=4))
def test_any_input_arrives_as_it_is(lines):
    script = shell_script("cat%" + "%".join(lines))
    assert subprocess.check_output(["sh", "-c", script]).decode() == "\n".join(lines) + "\n"


def test_the_exit_code_of_a_command_with_input_is_its_own():
    assert subprocess.run(["sh", "-c", shell_script("exit 7%x")], check=False).returncode == 7


def test_in_the_crontab_of_a_system_the_sixth_field_is_a_user():
    job = only("17 * * * * root cd / && run-parts /usr/lib/hourly", with_user=True)
    assert job.command == "cd / && run-parts /usr/lib/hourly"
    assert any("the user root" in note for note in job.notes)


def test_a_path_that_the_sandbox_hides_is_named():
    job = only("@daily /usr/bin/backup </etc/hosts >>/var/log/backup.log 2>/dev/null --to=/srv/b")
    assert any("hides /var/log/backup.log, /srv/b: " in note for note in job.notes)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("@reboot /usr/bin/start", "no schedule follows the start of a machine"),
        ("0 4 * * *", "without a command"),
        ("0 4 * *", "a line has five fields"),
        ("61 * * * * true", 'minute "61" is out of range'),
        ("@never true", '"@never" is not known'),
        ("CRON_TZ=Nowhere\n0 4 * * * true", "Nowhere"),
    ],
)
def test_a_line_that_becomes_no_job_says_why_and_stops_no_other(line, why):
    plan = read(f"{line}\nCRON_TZ=UTC\n@daily true\n")
    (rejected,) = plan.rejected
    assert why in rejected.why
    assert len(plan.jobs) == 1


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/local/bin/backup.sh --all", "backup"),
        ("cd /srv && nice -n 5 ./report.py", "srv"),
        ("FOO=bar flock -n lock import_orders", "lock"),
        ("/bin/sh -c 'curl http://localhost/tick'", "curl"),
        (":", "command"),
    ],
)
def test_an_id_names_the_program_and_is_the_same_at_the_next_import(command, name):
    first, again = only(f"@daily {command}"), only(f"# moved\n@hourly {command}")
    assert first.job_id == again.job_id
    assert first.job_id.rpartition("-")[0] == name


def test_the_same_command_twice_is_two_jobs():
    first, second = read("0 1 * * * one\n0 5 * * * one\n", prefix="web1-").jobs
    assert first.job_id.startswith("web1-one-")
    assert second.job_id == f"{first.job_id}-2"
