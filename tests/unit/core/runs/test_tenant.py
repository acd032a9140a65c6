"""A dispatch says whose job it is: the executor looks up which secrets this tenant may use."""

from __future__ import annotations

from schemas.dag import NodeSpec
from tests.support.simulated.log import Log


def tenants_of_dispatches(log):
    log.turn(log.recover())
    return [each.tenant for each in log.dispatches()]


def test_a_run_of_a_job_carries_the_tenant_of_the_job():
    log = Log()
    log.define(tenant="billing")
    log.request("r")
    assert tenants_of_dispatches(log) == ["billing"]


def test_a_node_carries_the_tenant_of_its_dag():
    log = Log()
    log.define_dag(NodeSpec(node_id="a", executable="s3://tidemill/x"), tenant="billing")
    log.request_dag("r")
    assert tenants_of_dispatches(log) == ["billing"]
