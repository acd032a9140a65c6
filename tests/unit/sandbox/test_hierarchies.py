"""Where the control groups of this process are, on hosts and in containers of all kinds."""

from __future__ import annotations

import pytest

from executors.sandbox.hierarchies import Hierarchy, find_hierarchies

V2 = "30 23 0:26 {root} {mount} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = "31 23 0:27 {root} {mount}/{name} rw,nosuid - cgroup cgroup rw,{name}"
ALL = ("memory", "pids", "cpu")


@pytest.fixture
def found(tmp_path):
    def find(groups, mounts, directories=(), controllers="cpuset cpu io memory hugetlb pids rdma"):
        mount = tmp_path / "mount"
        for name in ("", *directories):
            (mount / name).mkdir(parents=True, exist_ok=True)
            (mount / name / "cgroup.controllers").write_text(controllers)
        (tmp_path / "self").mkdir()
        (tmp_path / "self" / "cgroup").write_text(groups)
        lines = "\n".join(each.replace("{mount}", str(mount)) for each in mounts)
        (tmp_path / "self" / "mountinfo").write_text(lines)
        return [
            (each.version, str(each.own.relative_to(mount)), each.controllers) for each in find_hierarchies(tmp_path)
        ]

    return find


def v1(name, root="/"):
    return V1.replace("{name}", name).replace("{root}", root)


def v2(root="/"):
    return V2.replace("{root}", root)


@pytest.mark.parametrize(
    ("groups", "root", "directories", "own"),
    [
        ("0::/\n", "/", [], "."),
        ("0::/system.slice/x.service\n", "/", ["system.slice/x.service"], "system.slice/x.service"),
        ("0::/docker/1/job\n", "/docker/1", ["job"], "job"),
        ("0::/seen/from/outside\n", "/", [], "."),
        ("0::/elsewhere\n", "/docker/1", [], "."),
    ],
    ids=["root", "unit", "container", "hidden path", "another group"],
)
def test_version_2_has_one_group_for_all(found, groups, root, directories, own):
    assert found(groups, [v2(root)], directories) == [(2, own, ALL)]


def test_version_2_limits_what_its_parent_gives_it(found):
    assert found("0::/\n", [v2()], controllers="memory pids") == [(2, ".", ("memory", "pids"))]


def test_version_1_has_a_group_in_each_hierarchy(found):
    groups = "8:pids:/\n4:memory:/a\n1:cpu,cpuacct:/b\n2:name=systemd:/c\n0::/\n"
    mounts = [v1("memory"), v1("pids"), v1("cpu,cpuacct"), v1("name=systemd"), v1("freezer")]
    assert found(groups, mounts, ["memory/a", "pids", "cpu,cpuacct/b"]) == [
        (1, "memory/a", ("memory",)),
        (1, "pids", ("pids",)),
        (1, "cpu,cpuacct/b", ("cpu",)),
    ]


def test_a_host_with_both_versions_uses_each_for_what_it_limits(found):
    groups = "4:memory:/\n0::/\n"
    assert found(groups, [v1("memory"), v2()], ["memory"], controllers="pids") == [
        (2, ".", ("pids",)),
        (1, "memory", ("memory",)),
    ]


def test_version_2_without_a_controller_limits_nothing(found):
    assert found("0::/\n", [v2()], controllers="hugetlb") == []


def test_a_hierarchy_that_is_mounted_twice_counts_once(found):
    assert found("4:memory:/\n", [v1("memory"), v1("memory")], ["memory"]) == [(1, "memory", ("memory",))]


def test_a_host_without_control_groups_has_none(tmp_path):
    assert find_hierarchies(tmp_path) == []


def test_a_path_with_a_blank_is_read(tmp_path):
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text("0::/\n")
    (tmp_path / "with a blank").mkdir()
    (tmp_path / "with a blank" / "cgroup.controllers").write_text("pids")
    mount = str(tmp_path / "with a blank").replace(" ", "\\040")
    (tmp_path / "self" / "mountinfo").write_text(v2().replace("{mount}", mount))
    assert find_hierarchies(tmp_path) == [Hierarchy(version=2, own=tmp_path / "with a blank", controllers=("pids",))]
