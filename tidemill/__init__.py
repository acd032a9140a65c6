"""The command line."""

import sys
from pathlib import Path

# `python -m` searches the working directory first, and the user may have a folder there that is called `schemas`.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and Path(sys.path[0]) != Path(__file__).parents[1]:
    del sys.path[0]
