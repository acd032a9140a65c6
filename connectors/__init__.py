"""The connections of the pipeline to Postgres: the source, the sink, retention."""

import sys
from pathlib import Path

# `python -m` puts the working directory first in the search path; a user's folder there may be called `schemas`.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and Path(sys.path[0]) != Path(__file__).parents[1]:
    del sys.path[0]
