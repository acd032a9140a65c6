"""Reads the audit lines of the brokers' authorizers: which rules were used, and what was denied."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

import msgspec
from confluent_kafka.admin import AclBinding

Rule: TypeAlias = tuple[str, str, str, str, str]
"""Principal, operation, resource type, pattern type, resource name, spelled as brokers do."""

_LINE = re.compile(
    r"Principal = (?P<principal>User:\S+) is (?P<verdict>Allowed|Denied) operation = (?P<operation>\w+) .* "
    r"on resource = (?P<kind>\w+):(?P<pattern>\w+):(?P<name>\S+) for request = (?P<request>\w+)"
)
_RULE = re.compile(
    r"resourceType=(?P<kind>\w+), resourceName=(?P<name>[^,]+), patternType=(?P<pattern>\w+), .*"
    r"operation=(?P<operation>\w+)"
)
_KINDS = {"BROKER": "CLUSTER"}
"""librdkafka's name -> the brokers' name."""


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    used: set[Rule]
    """Rules that allowed their own operation. `Read` that only implied `Describe` does not count."""
    denied: set[str]


def read(lines: Iterable[str], principals: set[str]) -> Audit:
    used: set[Rule] = set()
    denied: set[str] = set()
    for line in lines:
        found = _LINE.search(line)
        if found is None or found["principal"] not in principals:
            continue
        rule = _RULE.search(line)
        if found["verdict"] == "Denied":
            denied.add(found[0])
        elif rule and rule["operation"] == found["operation"]:
            used.add((found["principal"], rule["operation"], rule["kind"], rule["pattern"], rule["name"]))
    return Audit(used=used, denied=denied)


def rule(binding: AclBinding) -> Rule:
    kind = _KINDS.get(binding.restype.name, binding.restype.name)
    return (binding.principal, binding.operation.name, kind, binding.resource_pattern_type.name, binding.name)
