"""`python -m infra.examples` puts the examples into the bucket that the environment names."""

from __future__ import annotations

import sys

from infra import examples
from schemas.settings import Connections, read

sys.stdout.write("".join(f"{uri}\n" for uri in examples.put(read(Connections))))
