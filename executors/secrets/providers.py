"""Which provider of secrets the settings ask for."""

from __future__ import annotations

from executors.secrets.allow_list import AllowList
from executors.secrets.aws import SecretsManager
from executors.secrets.command import Command
from executors.secrets.directory import Directory
from executors.secrets.provider import NoProvider, Provider
from executors.secrets.store import Secrets
from executors.settings import ExecutorSettings


def secrets_of(settings: ExecutorSettings) -> Secrets:
    return Secrets(
        _provider_of(settings),
        AllowList(settings.secrets_allow),
        max_age=settings.secrets_max_age,
        fetch_timeout=settings.fetch_timeout,
    )


def _provider_of(settings: ExecutorSettings) -> Provider:
    """At most one of the settings is set."""
    if settings.secrets_dir:
        return Directory(settings.secrets_dir)
    if settings.secrets_aws_region:
        return SecretsManager(settings.secrets_aws_region, settings.secrets_aws_endpoint)
    return Command(settings.secrets_command) if settings.secrets_command else NoProvider()
