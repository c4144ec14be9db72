"""The committed CRDs on the cluster, and kubectl as a user of one namespace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.api.objects import Object

from agentex_testkit.clusters import ClusterUnderTest

CRDS = Path(__file__).parents[2] / "crds"
SERVED = ("agentbuilds", "agentdeployments", "agentexaccounts", "clusteragentexaccounts")


@pytest.fixture(scope="session")
def our_kinds(cluster: ClusterUnderTest) -> ClusterUnderTest:
    """The cluster, serving our kinds."""
    cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
    names = [f"crd/{plural}.agentex.scale.com" for plural in SERVED]
    cluster.kubectl("wait", "--for=condition=Established", *names, "--timeout=60s")
    return cluster


class User:
    """Somebody with kubectl, in one namespace."""

    def __init__(self, cluster: ClusterUnderTest, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace

    def kubectl(self, *args: str, body: str | None = None) -> str:
        """What kubectl prints, complaints included."""
        return self._cluster.kubectl("-n", self._namespace, *args, input=body, check=False)

    def apply(self, obj: Object) -> str:
        """What kubectl says to this object."""
        return self.kubectl("apply", "--server-side", "-f", "-", body=json.dumps(obj))

    def would_apply(self, obj: Object) -> str:
        """What the API server says to this object, without storing it."""
        return self.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", body=json.dumps(obj))

    def would_create(self, obj: Object) -> str:
        """What the API server says to this new object, without storing it."""
        return self.kubectl("create", "--dry-run=server", "-f", "-", body=json.dumps(obj))

    def get(self, kind: str, name: str = "quote-bot") -> Object:
        """The object as stored."""
        found: Object = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found


@pytest.fixture
def user(our_kinds: ClusterUnderTest, namespace: str) -> User:
    """Somebody with kubectl, in a namespace of the test's own."""
    return User(our_kinds, namespace)


@pytest.fixture(scope="module")
def somebody(our_kinds: ClusterUnderTest) -> User:
    """Somebody with kubectl who stores nothing."""
    return User(our_kinds, "default")
