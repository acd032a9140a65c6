"""Downloads the jars of the local stack into a cache that all stacks share, and checks each by its checksum."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from infra import extra
from infra.errors import StackError
from infra.files import locked
from infra.progress import progress
from infra.settings import InfraSettings
from schemas.settings import read

LOCK_FILE = Path(__file__).with_name("jars.lock")
DOWNLOADS_AT_ONCE = 8
TRIES = 3
TIMEOUT_SECONDS = 30

ROOTS = {
    # Broker and Connect share one class path. The broker exists as 4.4.0, but Connect does not.
    "kafka": (
        "org.apache.kafka:kafka_2.13:4.3.1",
        "org.apache.kafka:kafka-tools:4.3.1",
        "org.apache.kafka:connect-runtime:4.3.1",
        "org.apache.kafka:connect-json:4.3.1",
        "io.debezium:debezium-connector-postgres:3.7.0.Final",
        "org.slf4j:slf4j-simple:1.7.36",
    ),
    # S3Proxy does not declare its dependency on jackson-annotations.
    "s3": ("org.gaul:s3proxy:4.1.0", "com.fasterxml.jackson.core:jackson-annotations:2.21"),
}

# S3Proxy depends on a client for every cloud. Over a file system it loads none of them, and they are two thirds of it.
UNUSED_GROUPS = (
    "com.azure", "com.github", "com.google.android", "com.google.api", "com.google.apis", "com.google.auth",
    "com.google.cloud", "com.google.http-client", "com.google.oauth-client", "com.google.protobuf", "com.microsoft",
    "com.squareup", "io.grpc", "io.opencensus", "io.perfmark", "io.projectreactor", "org.apache.sshd",
    "org.codehaus.mojo", "org.threeten",
)  # fmt: skip


class Jar(NamedTuple):
    coordinates: str
    sha256: str

    @property
    def file_name(self) -> str:
        return self.coordinates.replace(":", "-") + ".jar"


def class_paths(cache: Path, on_event: Callable[[str], None]) -> dict[str, str]:
    """The class path of each bundle. Downloads the jars that the cache lacks; if it has all, it needs no network."""
    bundles = read_lock()
    folder = cache.expanduser() / "jars"
    fetch([jar for jars in bundles.values() for jar in jars], folder, on_event)
    return {name: os.pathsep.join(str(folder / jar.file_name) for jar in jars) for name, jars in bundles.items()}


def read_lock(lines: Sequence[str] | None = None) -> dict[str, tuple[Jar, ...]]:
    """Parse `[bundle]` lines, each followed by lines of coordinates and sha256."""
    bundles: dict[str, list[Jar]] = {}
    for line in LOCK_FILE.read_text().splitlines() if lines is None else lines:
        match line.split():
            case [heading] if heading.startswith("["):
                jars = bundles.setdefault(heading.strip("[]"), [])
            case [coordinates, sha256]:
                jars.append(Jar(coordinates, sha256))
    return {name: tuple(jars) for name, jars in bundles.items()}


def fetch(jars: Sequence[Jar], folder: Path, on_event: Callable[[str], None]) -> None:
    """Put each jar into the folder once it is complete and its checksum is right; a lock keeps two stacks apart."""
    if not _missing(jars, folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):
        missing = _missing(jars, folder)
        if missing:
            on_event(f"Downloading {len(missing)} jars into {folder}; this happens once.")
            _download(missing, folder)


def _missing(jars: Sequence[Jar], folder: Path) -> list[Jar]:
    return sorted({jar for jar in jars if not (folder / jar.file_name).exists()})


def _download(jars: Sequence[Jar], folder: Path) -> None:
    staging = folder / ".partial"
    shutil.rmtree(staging, ignore_errors=True)
    context = _context(staging)
    with (
        ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool,
        progress("Downloading", lambda: (len(jars) - len(_missing(jars, folder)), len(jars))),
    ):
        for _ in pool.map(lambda jar: _download_one(context, jar, folder), jars):
            pass
    shutil.rmtree(staging)


def _download_one(context: Any, jar: Jar, folder: Path) -> None:
    for attempt in range(1, TRIES + 1):
        try:
            path = _resolve(context, jar.coordinates)
            break
        except Exception as error:  # jgo and its dependencies raise anything from OSError to RuntimeError
            if attempt == TRIES:
                raise StackError(
                    f"The jar {jar.coordinates} could not be downloaded ({type(error).__name__}). The first start needs"
                    f" Maven Central, or the jars in {folder}. Try again: the jars that were downloaded are kept."
                ) from error
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != jar.sha256:
        raise StackError(f"The jar {jar.coordinates} has the sha256 {found}, but {jar.sha256} is expected.")
    path.replace(folder / jar.file_name)


def _resolve(context: Any, coordinates: str) -> Path:
    artifact = context.create_dependency(coordinates).artifact
    artifact.cached_path.unlink(missing_ok=True)  # an earlier try may have left a partial file
    return Path(artifact.resolve())


def _context(folder: Path) -> Any:
    extra.need([extra.JARS])
    from jgo.maven import MavenContext  # noqa: PLC0415 - the import takes 0.3 s, and only a download needs it

    return MavenContext(repo_cache=folder, timeout=TIMEOUT_SECONDS)


def _write_lock(staging: Path) -> None:
    """Write jars.lock; a maintainer runs this after a change of ROOTS."""
    context = _context(staging)
    lines = ["# Written by `python -m infra.jars lock` from the coordinates in jars.py: coordinates, sha256."]
    for name, roots in ROOTS.items():
        lines.append(f"[{name}]")
        for artifact in _closure(context, roots):
            if name == "s3" and artifact.groupId.startswith(UNUSED_GROUPS):
                continue
            digest = hashlib.sha256(Path(artifact.resolve()).read_bytes()).hexdigest()
            lines.append(f"{artifact.groupId}:{artifact.artifactId}:{artifact.version} {digest}")
    LOCK_FILE.write_text("\n".join(lines) + "\n")


def _closure(context: Any, roots: Sequence[str]) -> list[Any]:
    """Resolve each root alone; the first version found wins, and the roots come first, as in Maven.

    If jgo resolves all roots together, the versions that one root manages change the dependencies of another
    (Connect gets Debezium's Jetty).
    """
    resolved = [context.resolver.resolve([context.create_dependency(root)]) for root in roots]
    items = [item for direct, _ in resolved for item in direct] + [
        item for _, indirect in resolved for item in indirect
    ]
    found: dict[tuple[str, str], Any] = {}
    for item in items:
        if item.scope not in ("test", "provided"):
            found.setdefault((item.groupId, item.artifactId), item.artifact)
    return list(found.values())


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main() -> None:
    """`python -m infra.jars` fills the cache; `python -m infra.jars lock` resolves ROOTS again."""
    cache = read(InfraSettings).cache
    if sys.argv[1:] == ["lock"]:
        _write_lock(cache.expanduser() / "resolve")
    else:
        class_paths(cache, _say)


if __name__ == "__main__":
    main()
