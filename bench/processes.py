"""Reads the memory and CPU of a process, and starts extra processes for a stack, which nothing restarts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.process import last_lines
from tests.support.waiting import eventually

EXIT_SECONDS = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    return _kilobytes(pid, "VmRSS") / 1024


def peak_rss_mb(pid: int) -> float:
    return _kilobytes(pid, "VmHWM") / 1024


def cpu_seconds(pid: int) -> float:
    """User and system time of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _kilobytes(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


class ExtraProcess:
    """A context in which `python -m MODULE` runs, in addition to a stack's processes."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._module = module
        self._folder = Path(tempfile.mkdtemp(prefix="tidemill-bench-"))
        self._ready_file = self._folder / "ready"
        self._log = self._folder / "log"
        own = {"TIDEMILL_READY_FILE": str(self._ready_file), "MALLOC_ARENA_MAX": "2"}
        self._environment = {**os.environ, **environment, **own}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        self._ready_file.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-m", self._module], env=self._environment, stderr=log)

    def wait_ready(self, seconds: float) -> None:
        """Wait until a stream worker has recovered its partitions, or an executor may claim."""
        eventually(self._is_ready, seconds, lambda: f"{self._module} that is ready; its log ends with {self._said()}")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"it ended with {self._process.returncode}: {self._said()}"
        return self._ready_file.exists()

    def _said(self) -> str:
        return last_lines(self._log, 5)


class StreamWorker(ExtraProcess):
    def __init__(self, environment: Mapping[str, str], name: str = "stream-bench") -> None:
        super().__init__("streams", {**environment, "TIDEMILL_WORKER_ID": name})
