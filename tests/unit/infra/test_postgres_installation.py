"""Where Postgres' files go when the user it runs as may not enter the folder they belong in."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from infra.errors import StackError
from infra.part import User
from infra.postgres_installation import _cluster_folder, _copy_programs, _drop_abandoned, closed_folder

SOMEBODY = User(name="somebody", uid=4711, gid=4712)


@pytest.fixture
def open_folder():
    """A folder that every user can enter, unlike tmp_path."""
    folder = Path(tempfile.mkdtemp(prefix="tidemill-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def closed(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    return folder


def test_programs_below_a_private_folder_are_copied_once_to_where_the_user_can_enter(open_folder, closed):
    programs = closed / "pginstall18"
    (programs / "bin").mkdir(parents=True)
    (programs / "bin" / "postgres").write_text("first")
    copy = _copy_programs(programs, open_folder / "home", SOMEBODY)
    assert closed_folder(copy / "bin", SOMEBODY) is None
    (programs / "bin" / "postgres").write_text("second")
    assert _copy_programs(programs, open_folder / "home", SOMEBODY) == copy
    assert (copy / "bin" / "postgres").read_text() == "first"
    assert [path.name for path in (open_folder / "home").iterdir()] == [copy.name]


def test_a_cluster_below_a_private_folder_is_elsewhere_and_found_again_by_its_link(open_folder, closed):
    said = []
    made = _cluster_folder(closed / "postgres", open_folder, SOMEBODY, said.append)
    assert closed_folder(made, User(name="owner", uid=made.stat().st_uid, gid=0)) is None
    assert (closed / "postgres").resolve() == made
    assert "somebody, who cannot enter" in said[0]
    assert _cluster_folder(closed / "postgres", open_folder, SOMEBODY, said.append) == made
    assert len(said) == 1


def test_a_cluster_stays_in_a_data_folder_that_the_user_can_enter(open_folder):
    link = open_folder / "data" / "postgres"
    assert _cluster_folder(link, open_folder / "home", SOMEBODY, print) == link
    assert not link.is_symlink()


def test_an_inaccessible_place_is_refused_with_a_remedy(closed):
    with pytest.raises(StackError, match=r"Postgres runs as somebody, who cannot enter .*TIDEMILL_POSTGRES_HOME"):
        _cluster_folder(closed / "postgres", closed / "home", SOMEBODY, print)


def test_a_place_that_cannot_be_created_is_refused_with_a_remedy(closed):
    (closed / "file").touch()
    with pytest.raises(StackError, match=r"could not be made .*TIDEMILL_POSTGRES_HOME"):
        _cluster_folder(closed / "postgres", closed / "file" / "home", SOMEBODY, print)


def test_only_clusters_of_deleted_temporary_folders_are_dropped(open_folder):
    links = {"kept": open_folder / "data" / "postgres", "gone": open_folder / "deleted" / "postgres"}
    links["renamed"] = Path("/srv/tidemill-that-is-not-there/postgres")
    for name, link in links.items():
        (open_folder / "clusters" / name).mkdir(parents=True)
        (open_folder / "clusters" / name / "linked-from").write_text(str(link))
    links["kept"].parent.mkdir()
    links["kept"].symlink_to(open_folder / "clusters" / "kept")
    _drop_abandoned(open_folder / "clusters")
    assert sorted(path.name for path in (open_folder / "clusters").iterdir()) == ["kept", "renamed"]
