"""Asks the port of a process for its metrics and its health."""

from __future__ import annotations

import random
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from infra.ports import CANDIDATES, is_free


def free_address():
    return f"127.0.0.1:{next(port for port in random.sample(CANDIDATES, len(CANDIDATES)) if is_free(port))}"


def ask(address, path):
    """The status and the text of an answer."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def figures(address):
    """The value of each series, by its name and the values of its labels in the order of their names."""
    families = text_string_to_metric_families(ask(address, "/metrics")[1])
    samples = (sample for family in families for sample in family.samples)
    return {(each.name, *(value for _, value in sorted(each.labels.items()))): each.value for each in samples}
