"""Directories of the executor that jobs could see are refused when it starts."""

from __future__ import annotations

import re

import pytest

from executors.sandbox.host import NoSandboxError, check_places


def test_directories_that_no_job_sees_are_accepted(tmp_path):
    check_places({"TIDEMILL_WORK_DIR": tmp_path / "work", "TIDEMILL_CACHE_DIR": None}, (f"r:{tmp_path}/data",))


def test_a_directory_among_the_programs_of_the_host_is_refused(tmp_path):
    link = tmp_path / "link"
    link.symlink_to("/usr")
    for path in (link / "tidemill", link):
        with pytest.raises(NoSandboxError, match="every job may read /usr"):
            check_places({"TIDEMILL_CACHE_DIR": path}, ())


def test_a_directory_that_jobs_may_unveil_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    reason = re.escape(f"TIDEMILL_UNVEIL allows jobs to use {tmp_path}/link")
    with pytest.raises(NoSandboxError, match=reason):
        check_places({"TIDEMILL_SECRETS_DIR": tmp_path / "data" / "secrets"}, ("r:/srv", f"r:{tmp_path}/link"))
