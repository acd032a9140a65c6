"""Executes the lines `kafka-configs.sh …` and `kafka-acls.sh …` of a document without a JVM for each line."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from string import Template

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

ANSWER_SECONDS = 10.0
ITERATIONS = 4096
_SCRAM = re.compile(r"SCRAM-SHA-512=\[password=(.+)\]")
_RESOURCES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional_id": ResourceType.TRANSACTIONAL_ID,
}
_OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "AlterConfigs": AclOperation.ALTER_CONFIGS,
}
_PATTERNS = {"literal": ResourcePatternType.LITERAL, "prefixed": ResourcePatternType.PREFIXED}


def set_passwords(admin: AdminClient, text: str) -> None:
    """Applies each `kafka-configs.sh` line of the text."""
    changes = [_password(words) for words in _lines(text, "kafka-configs.sh")]
    for future in admin.alter_user_scram_credentials(changes).values() if changes else ():
        future.result(ANSWER_SECONDS)


def grants(text: str) -> list[AclBinding]:
    """The ACLs of all `kafka-acls.sh` lines of the text."""
    return [binding for words in _lines(text, "kafka-acls.sh") for binding in _bindings(words)]


def grant(admin: AdminClient, bindings: list[AclBinding]) -> None:
    for future in admin.create_acls(bindings).values() if bindings else ():
        future.result(ANSWER_SECONDS)


def _lines(text: str, command: str) -> Iterator[list[str]]:
    """The arguments of each `command` line, with variables of earlier lines expanded."""
    variables: dict[str, str] = {}
    for line in text.replace("\\\n", " ").splitlines():
        match shlex.split(Template(line).substitute(variables)):
            case [assignment] if "=" in assignment:
                name, _, variables[name] = assignment.partition("=")
            case [program, *arguments] if program == command:
                yield arguments


def _parser() -> argparse.ArgumentParser:
    """Accepts only the options that our documents use."""
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    for name in ("--bootstrap-server", "--command-config"):
        parser.add_argument(name, required=True)
    return parser


def _password(words: list[str]) -> UserScramCredentialUpsertion:
    parser = _parser()
    parser.add_argument("--alter", action="store_true", required=True)
    parser.add_argument("--entity-type", choices=["users"], required=True)
    parser.add_argument("--entity-name", required=True)
    parser.add_argument("--add-config", required=True)
    found = parser.parse_args(words)
    password = _SCRAM.fullmatch(found.add_config)
    assert password, found.add_config
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    return UserScramCredentialUpsertion(found.entity_name, how, password[1].encode())


def _bindings(words: list[str]) -> Iterator[AclBinding]:
    parser = _parser()
    parser.add_argument("--add", action="store_true", required=True)
    parser.add_argument("--allow-principal", required=True)
    parser.add_argument("--operation", action="append", required=True, choices=_OPERATIONS)
    parser.add_argument("--resource-pattern-type", choices=_PATTERNS, default="literal")
    parser.add_argument("--cluster", action="store_true")
    for name in _RESOURCES:
        parser.add_argument(f"--{name.replace('_', '-')}", action="append", default=[])
    found = parser.parse_args(words)
    resources = [(kind, name) for field, kind in _RESOURCES.items() for name in getattr(found, field)]
    resources += [(ResourceType.BROKER, "kafka-cluster")] if found.cluster else []
    for kind, name in resources:
        for operation in found.operation:
            pattern = _PATTERNS[found.resource_pattern_type]
            allowed = (_OPERATIONS[operation], AclPermissionType.ALLOW)
            yield AclBinding(kind, name, pattern, found.allow_principal, "*", *allowed)
