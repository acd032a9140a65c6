"""Python imports it at its start: `time.sleep` without clock_nanosleep, which libfaketime 0.9.10 refuses (EINVAL) for a
clock that it does not fake.
"""

import select
import time


def _sleep(seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        select.select((), (), (), left)


time.sleep = _sleep
