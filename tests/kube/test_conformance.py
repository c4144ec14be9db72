"""The fake cluster behaves as the real API server does: the same random operations show the same on both."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from tests.kube.conformance import CRD, GADGET, OPERATIONS, SCHEMA, Operation, Runner

from agentex_operator.clock import Clock
from agentex_operator.kube.cluster import KubeCluster
from agentex_testkit.clusters import ClusterUnderTest
from agentex_testkit.fake_cluster.cluster import FakeCluster
from agentex_testkit.fake_cluster.served import Served, operators_kinds

COUNTER = itertools.count()
THOROUGH = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
HELD = {"finalizers": ["a.example.com/x"]}


@pytest.fixture(scope="session")
def gadgets(cluster: ClusterUnderTest) -> None:
    """The kind, served by the real cluster."""
    cluster.kubectl("apply", "-f", "-", input=json.dumps(CRD))
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{CRD['metadata']['name']}", "--timeout=30s")


@pytest.mark.usefixtures("gadgets")
@THOROUGH
@example([Operation("create", "a", body={"spec": {"size": 1}, "metadata": HELD}), Operation("delete", "a", "current"),
          Operation("delete", "a", "current"), Operation("patch", "a", "none", {"spec": {"size": 2}}),
          Operation("patch", "a", "current", {"metadata": {"finalizers": ["a.example.com/x", "b.example.com/y"]}}),
          Operation("patch", "a", "current", {"metadata": {"finalizers": []}})])
@example([Operation("create", "a", body={"spec": {"size": 1}, "status": {"step": 1}}),
          Operation("patch_status", "a", "current", {"status": {"observedGeneration": -1}}),
          Operation("patch_status", "a", "current", {"status": {"observedGeneration": -1}}),
          Operation("patch_status", "a", "stale", {"status": {"step": 2}}), Operation("delete", "a", "stale"),
          Operation("delete", "a", "successor"), Operation("delete", "a", "current"),
          Operation("patch", "a", "none", {"spec": {"size": 3}}), Operation("list", "a")])
@given(OPERATIONS)
async def test_the_same_operations_show_the_same_on_the_real_and_on_the_fake_cluster(
    kube: KubeCluster, namespace: str, operations: list[Operation]
) -> None:
    prefix = f"g{next(COUNTER)}-"
    real = Runner(kube, namespace, prefix)
    fake = Runner(FakeCluster(Clock(), (*operators_kinds(), Served(GADGET, SCHEMA))), namespace, prefix)

    for operation in operations:
        shown = await real.run(operation)
        assert (operation, await fake.run(operation)) == (operation, shown)
