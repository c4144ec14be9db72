"""A kind of our own to write to, so that no other test's CRDs are in the way, and the adapter under test."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from agentex_operator.clock import Clock
from agentex_operator.kube.cluster import KubeCluster
from agentex_operator.kube.kinds import Kind
from agentex_operator.settings import Settings
from agentex_testkit.clusters import ClusterUnderTest

THING = Kind("kube-tests.example.com", "v1", "things", "Thing", namespaced=True)
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {"type": "object", "properties": {"size": {"type": "integer", "maximum": 10}}},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"{THING.plural}.{THING.group}"},
    "spec": {
        "group": THING.group,
        "scope": "Namespaced",
        "names": {"plural": THING.plural, "singular": "thing", "kind": THING.kind},
        "versions": [
            {
                "name": THING.version,
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": SCHEMA},
            }
        ],
    },
}

MakeThing = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def things(cluster: ClusterUnderTest) -> Kind:
    """The kind, served by the cluster."""
    cluster.kubectl("apply", "-f", "-", input=json.dumps(CRD))
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{CRD['metadata']['name']}", "--timeout=30s")
    return THING


@pytest.fixture
def make_thing(cluster: ClusterUnderTest, things: Kind, namespace: str) -> MakeThing:
    """Creates a thing in the test's namespace, as its user would."""

    def make(name: str = "", **metadata: Any) -> dict[str, Any]:
        named = {"name": name or f"thing-{secrets.token_hex(3)}", "namespace": namespace}
        thing = {
            "apiVersion": things.api_version,
            "kind": things.kind,
            "metadata": {**named, **metadata},
            "spec": {"size": 1},
        }
        return json.loads(cluster.kubectl("create", "-f", "-", "-o", "json", input=json.dumps(thing)))

    return make


@pytest.fixture
async def kube(cluster: ClusterUnderTest) -> AsyncIterator[KubeCluster]:
    """The adapter, as the administrator."""
    connected = await KubeCluster.connect(Settings(kubeconfig=cluster.kubeconfig), Clock())
    yield connected
    await connected.aclose()
