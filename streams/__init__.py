"""Stream workers: they decide what runs when."""

import sys
from pathlib import Path

# `python -m` searches the working directory first, and a user may have a folder named `schemas` there.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and Path(sys.path[0]) != Path(__file__).parents[1]:
    del sys.path[0]
