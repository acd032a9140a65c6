"""Threads that convert to the same struct for the first time, in an own process, which the fault would crash."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys, threading
from schemas.codec import decode
from streams.core.stored import StoredJob

def meet():
    barrier.wait()
    try:
        decode(b'{"spec": {"job_id": "a", "executable": "s3://x/y"}, "version": 1}', StoredJob)
    except Exception as error:
        said.append(str(error))

sys.setswitchinterval(1e-6)
barrier, said = threading.Barrier(8), []
threads = [threading.Thread(target=meet) for _ in range(8)]
for each in threads:
    each.start()
for each in threads:
    each.join()
print(len(said), *set(said))
"""
ROUNDS = 6
"""Before the fix, six of ten processes ended with a segmentation fault."""


def test_many_threads_can_decode_a_type_for_the_first_time_at_once() -> None:
    for _ in range(ROUNDS):
        done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("8 is not a valid StoredJob: "), done.stdout
