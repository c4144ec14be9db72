"""What the real API server makes of the chart: it takes it, as restricted, and allows no more than the rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.chart.conftest import Render, Rendered

from agentex_testkit.clusters import ClusterUnderTest

CRDS = Path(__file__).parents[2] / "crds"
RELEASE = "chart-rights"
EVERYTHING = ("operator.allowHttpEndpoints=true", "podLabels.team=a", "podAnnotations.note=b", "nodeSelector.disk=ssd",
              "imagePullSecrets[0].name=registry", "operator.extraEnv[0].name=A", "operator.extraEnv[0].value=b")


@pytest.mark.parametrize("values", [(), EVERYTHING], ids=["defaults", "everything set"])
def test_the_api_server_takes_it(
    cluster: ClusterUnderTest, namespace: str, render: Render, values: tuple[str, ...]
) -> None:
    rendered = render(*values, namespace=namespace)
    said = cluster.kubectl("apply", "--server-side", "--dry-run=server", "--force-conflicts",
                           "--field-manager=chart-test", "-f", "-", input=rendered.text, check=False)

    assert said.count("serverside-applied") == len(rendered.objects), said


def test_the_pod_is_allowed_where_only_restricted_pods_are(
    cluster: ClusterUnderTest, namespace: str, render: Render
) -> None:
    rendered = render(namespace=namespace)
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump(rendered.only("ServiceAccount")))
    pod = {**rendered.pod, "metadata": {**rendered.pod["metadata"], "name": "operator", "namespace": namespace}}

    assert "created" in cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))


@pytest.fixture(scope="module")
def installed(cluster: ClusterUnderTest, render: Render) -> Iterator[Rendered]:
    """The chart's roles and binding, on the cluster under a name of their own, and the kinds they speak of."""
    cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
    cluster.kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=60s")
    rendered = render("crds.enabled=false", release=RELEASE, namespace="default")
    roles = yaml.safe_dump_all(rendered.all("ClusterRole") + rendered.all("ClusterRoleBinding"))
    cluster.kubectl("apply", "-f", "-", input=roles)
    yield rendered
    cluster.kubectl("delete", "--wait=false", "-f", "-", input=roles)


def may(cluster: ClusterUnderTest, installed: Rendered, question: str) -> bool:
    account = installed.pod["spec"]["serviceAccountName"]
    answer = cluster.kubectl("auth", "can-i", *question.split(), f"--as=system:serviceaccount:default:{account}",
                             "-n", "kube-public", check=False)
    return answer.split()[0] == "yes"  # warnings may follow


@pytest.mark.parametrize("question", [
    "list agentbuilds.agentex.scale.com --all-namespaces",
    "watch agentdeployments.agentex.scale.com --all-namespaces",
    "patch agentbuilds.agentex.scale.com",
    "patch agentbuilds.agentex.scale.com --subresource=status",
    "patch clusteragentexaccounts.agentex.scale.com --subresource=status",
    "patch agentexaccounts.agentex.scale.com",
    "delete agentdeployments.agentex.scale.com",
    "get secrets",
    "get configmaps",
    "list configmaps",
    "watch configmaps --all-namespaces",
    "get namespaces",
    "create events.events.k8s.io",
])
def test_the_operator_may(cluster: ClusterUnderTest, installed: Rendered, question: str) -> None:
    assert may(cluster, installed, question)


@pytest.mark.parametrize("question", [
    "list secrets",
    "watch secrets --all-namespaces",
    "patch secrets",
    "patch configmaps",
    "create agentbuilds.agentex.scale.com",
    "delete agentbuilds.agentex.scale.com",
    "create agentexaccounts.agentex.scale.com",
    "delete agentexaccounts.agentex.scale.com",
    "create pods",
    "create serviceaccounts --subresource=token",
    "impersonate users",
    "bind clusterroles.rbac.authorization.k8s.io",
])
def test_the_operator_may_not(cluster: ClusterUnderTest, installed: Rendered, question: str) -> None:
    assert not may(cluster, installed, question)
