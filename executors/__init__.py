"""The hands of the pipeline: executors."""

import sys
from pathlib import Path

# `python -m` looks for modules in the working directory first, where a folder of a user may be called `schemas`.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and Path(sys.path[0]) != Path(__file__).parents[1]:
    del sys.path[0]
