"""What every attempt may see of its host: programs, libraries and the few files of /etc that these need."""

from __future__ import annotations

from pathlib import Path

SYSTEM_DIRS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/gnu/store")
"""To read and to execute."""
KERNEL_DIRS = ("/proc", "/sys")
"""To read. /proc shows the command lines of other processes, but neither their environment nor their memory."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
"""To read and to write."""
ETC = tuple(
    f"/etc/{name}"
    for name in (
        # the dynamic linker
        *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ld.so.preload"),
        # names of hosts, users and services
        *("resolv.conf", "hosts", "host.conf", "hostname", "nsswitch.conf", "gai.conf", "passwd", "group"),
        *("services", "protocols", "networks", "ethertypes", "rpc"),
        # certificates; not /etc/ssl/private
        *("ssl/certs", "ssl/openssl.cnf", "ssl/cert.pem", "pki/tls/certs", "pki/tls/cert.pem", "pki/tls/openssl.cnf"),
        *("pki/ca-trust", "ca-certificates", "ca-certificates.conf", "crypto-policies"),
        # time and language
        *("localtime", "timezone", "locale.conf", "locale.alias", "locale.gen", "default/locale"),
        # shells and programming languages
        *("alternatives", "profile", "profile.d", "bash.bashrc", "bashrc", "environment", "inputrc", "shells"),
        *("terminfo", "python3", "python3.11", "python3.12", "python3.13", "python3.14", "perl", "nodejs", "fonts"),
        # Debian's Java starts no program without its own
        *("java", "java-8-openjdk", "java-11-openjdk", "java-17-openjdk", "java-21-openjdk", "java-25-openjdk"),
        *("R", "groff", "OpenCL", "ImageMagick-6", "ImageMagick-7", "xml", "sgml"),
        *("krb5.conf", "krb5.conf.d", "ldap/ldap.conf", "gss"),
        *("os-release", "lsb-release", "debian_version", "mime.types", "magic", "odbcinst.ini"),
    )
)
"""To read. Other files of /etc may hold secrets."""


def shown_dir(path: Path) -> str | None:
    """The directory of the host, visible to every attempt, that holds this path."""
    real = path.resolve()
    return next((each for each in SYSTEM_DIRS if real.is_relative_to(Path(each).resolve())), None)
