"""Steps the wall clocks of chosen processes by libfaketime. Their boot clock stays: no operator can set it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from infra.errors import StackError
from infra.packages import libfaketime
from infra.settings import InfraSettings

SLEEPS_ITSELF = Path(__file__).parent / "faked"
"""Its `sitecustomize.py` stands in for a fault of libfaketime."""
NO_STEP = "+0"


class Clocks:
    """One file for each process; libfaketime reads it each second."""

    def __init__(self, folder: Path, library: Path) -> None:
        self._folder, self._library = folder, library
        folder.mkdir()

    def variables(self, names: Iterable[str]) -> dict[str, str]:
        """For `StackOptions.part_env`."""
        found: dict[str, str] = {}
        for name in names:
            self.step(name, 0)
            found |= {f"{name}:{variable}": value for variable, value in self._of(name).items()}
        return found

    def step(self, name: str, seconds: int) -> None:
        """The clock is ahead by so much, until the next step."""
        file = self._file(name)
        new = file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.chmod(0o644)
        new.replace(file)

    def _of(self, name: str) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file(name)),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": str(SLEEPS_ITSELF),
        }

    def _file(self, name: str) -> Path:
        return self._folder / name


def clocks(folder: Path, settings: InfraSettings, say: Callable[[str], None]) -> Clocks | None:
    """None if libfaketime cannot be had; says why."""
    try:
        return Clocks(folder, libfaketime(settings, say))
    except StackError as error:
        say(f"No clock is stepped: {error}")
        return None
