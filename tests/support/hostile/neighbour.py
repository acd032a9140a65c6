"""The neighbour of a hostile attempt, as a job: it has something to lose, and says at the end whether it lost any."""

from __future__ import annotations

import json
import os
import resource
import socket
import sys


def state() -> dict[str, object]:
    """What no other process may change."""
    return {
        "files": {name: open(name).read() for name in sorted(os.listdir())},
        "checkpoint": sorted(os.listdir(os.environ["TIDEMILL_CHECKPOINT"])),
        "result": sorted(os.listdir(os.path.dirname(os.environ["TIDEMILL_RESULT"]))),
        "mode": os.stat(".").st_mode,
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "cpus": sorted(os.sched_getaffinity(0)),
        "policy": os.sched_getscheduler(0),
        "files limit": resource.getrlimit(resource.RLIMIT_NOFILE),
    }


def main() -> None:
    told = json.load(sys.stdin)
    with open("private", "w") as file:
        file.write(told["token"])
    with open(os.environ["TIDEMILL_CHECKPOINT"] + "/private", "w") as file:
        file.write(told["token"])
    before = state()
    line = socket.create_connection((told["host"], told["port"]))
    places = {"cwd": os.getcwd(), "checkpoint": os.environ["TIDEMILL_CHECKPOINT"]}
    with line, line.makefile("rw") as talk:
        talk.write(json.dumps({"mark": sys.argv[1], **places}) + "\n")
        talk.flush()
        talk.readline()  # comes after the attempt has ended
        now = state()
        changed = {name: now[name] for name in now if now[name] != before[name]}
        talk.write(json.dumps(changed) + "\n")
        talk.flush()
    with open(os.environ["TIDEMILL_RESULT"], "w") as file:
        json.dump({"neighbour": sys.argv[1]}, file)
    print("the neighbour ended")


main()
