"""What an executor says that it gives, from what its host gives."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from executors.sandbox import landlock
from executors.sandbox.host import Host, NoSandboxError, capabilities
from executors.sandbox.landlock import Access, handled
from schemas.confinement import Limit, Sandbox

FULL = Host(no_basic=None, no_strict=None, landlock=7)
OLD = Host(no_basic=None, no_strict="it has no bwrap", landlock=1)
BARE = Host(no_basic="the kernel has no Landlock", no_strict="it has no bwrap", landlock=0)


def test_a_job_may_ask_for_a_stronger_sandbox_and_never_for_a_weaker_one():
    given = [capabilities(FULL, each, ()).sandboxes for each in (Sandbox.NONE, Sandbox.BASIC, Sandbox.STRICT)]
    assert given == [(Sandbox.BASIC, Sandbox.STRICT)] * 2 + [(Sandbox.STRICT,)]


def test_a_host_that_cannot_give_the_default_is_refused_with_the_reason():
    with pytest.raises(NoSandboxError, match=r"TIDEMILL_SANDBOX=strict: it has no bwrap\. TIDEMILL_SANDBOX=none"):
        capabilities(OLD, Sandbox.STRICT, ())
    with pytest.raises(NoSandboxError, match="no Landlock"):
        capabilities(BARE, Sandbox.BASIC, ())
    assert capabilities(BARE, Sandbox.NONE, ()).sandboxes == ()


def test_what_a_host_lacks_is_said_in_sentences():
    assert capabilities(FULL, Sandbox.BASIC, ()).lacks == ()
    lacks = capabilities(OLD, Sandbox.BASIC, ()).lacks
    assert any("strict: it has no bwrap" in each for each in lacks)
    assert any("can signal each other" in each for each in lacks)
    strict_only = Host(no_basic="the kernel has no Landlock", no_strict=None, landlock=0)
    assert any("abstract sockets of the host" in each for each in capabilities(strict_only, Sandbox.STRICT, ()).lacks)


def test_only_a_sandbox_can_cut_the_network_off():
    assert Limit.NETWORK in capabilities(FULL, Sandbox.BASIC, ()).limits
    assert Limit.NETWORK not in capabilities(FULL, Sandbox.NONE, ()).limits


@pytest.mark.parametrize(
    ("version", "lacking"),
    [
        (1, Access.REFER | Access.TRUNCATE | Access.IOCTL_DEV),
        (2, Access.TRUNCATE | Access.IOCTL_DEV),
        (3, Access.IOCTL_DEV),
        (5, Access(0)),
        (7, Access(0)),
    ],
)
def test_a_ruleset_handles_all_rights_that_the_kernel_knows(version, lacking):
    assert handled(version) | lacking == Access(2**16 - 1)
    assert not handled(version) & lacking
    assert landlock.has_scopes(version) == (version >= 6)


def test_a_host_whose_limits_forbid_the_tag_cannot_give_basic():
    unprivileged = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
    script = """
import resource
from pathlib import Path
from executors.sandbox.host import look
from executors.sandbox.launch import find_launcher
resource.setrlimit(15, (10**6, 10**6))
print(look(find_launcher(), Path.cwd()).no_basic)
"""
    command = [*unprivileged, sys.executable, "-c", script]
    assert subprocess.check_output(command, text=True) == "it cannot be tagged: Operation not permitted\n"
