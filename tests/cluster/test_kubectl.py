"""What a user types: the real kubectl waits for, lists, explains and refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentex_dev.cluster import Cluster
from agentex_testkit.builders import a_build, a_context, a_secret, an_account, from_build
from agentex_testkit.cluster_fixture import ClusterFixture
from agentex_testkit.installation import Installation


@pytest.fixture(scope="module")
def kubectl(installation: Installation) -> Cluster:
    return installation.cluster


@pytest.fixture(scope="module")
def walked(module_world: ClusterFixture, kubectl: Cluster) -> ClusterFixture:
    """The main walk, applied by kubectl as one file."""
    world = module_world
    everything = [a_secret(), an_account(world.endpoint), a_context(), a_build(), from_build()]
    file = json.dumps({"apiVersion": "v1", "kind": "List", "items": everything})
    kubectl.kubectl("apply", "-n", world.namespace, "-f", "-", input=file)
    return world


@pytest.mark.parametrize("resource", ["agentexaccount/default", "ab/quote", "agentdeployment.agentex.scale.com/quote"])
def test_wait_returns_when_it_is_ready(walked: ClusterFixture, kubectl: Cluster, resource: str) -> None:
    said = kubectl.kubectl("wait", "-n", walked.namespace, "--for=condition=Ready", resource, "--timeout=60s")

    assert "condition met" in said


def test_wait_for_the_phase_works_too(walked: ClusterFixture, kubectl: Cluster) -> None:
    phase = "--for=jsonpath={.status.phase}=Ready"

    assert "condition met" in kubectl.kubectl("wait", "-n", walked.namespace, phase, "ad/quote", "--timeout=60s")


@pytest.mark.parametrize("asked", ["ab,ad,aga", "agentex"])
def test_get_lists_all_with_their_state(walked: ClusterFixture, kubectl: Cluster, asked: str) -> None:
    kubectl.kubectl("wait", "-n", walked.namespace, "--for=condition=Ready", "ad/quote", "--timeout=60s")

    listed = kubectl.kubectl("get", asked, "-n", walked.namespace)

    rows = [line.split() for line in listed.splitlines() if "/" in line]
    names = {row[0].partition(".")[0] + "/" + row[0].partition("/")[2] for row in rows}
    assert names == {"agentbuild/quote", "agentdeployment/quote", "agentexaccount/default"}
    assert all("True" in row for row in rows), listed


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("agentbuild.spec.source", ("configMapKeyRef", "secretKeyRef", "http", "image", "exactly one")),
        ("agentdeployment.spec.preview", ("label", "ttl", "expiresAt", "onExpiry")),
        ("aga.spec", ("endpoint", "accountID", "apiKeySecretRef")),
    ],
)
def test_explain_is_the_documentation(installation: Installation, field: str, words: tuple[str, ...]) -> None:
    said = installation.cluster.kubectl("explain", field)

    assert [word for word in words if word not in said] == []


def test_describe_shows_conditions_and_events(walked: ClusterFixture, kubectl: Cluster) -> None:
    kubectl.kubectl("wait", "-n", walked.namespace, "--for=condition=Ready", "ab/quote", "--timeout=60s")

    said = kubectl.kubectl("describe", "ab", "quote", "-n", walked.namespace)

    assert "Image Exists" in said or "The image exists." in said
    assert "Succeeded" in said


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"source": {}}, "set exactly one of configMapKeyRef, secretKeyRef, http or image"),
        ({"agentID": "a-1"}, "set exactly one of agentName or agentID"),
        ({"timeout": "soon"}, "timeout"),
    ],
)
def test_apply_refuses_what_cannot_work_and_says_why(
    installation: Installation, namespace: str, spec: dict[str, Any], why: str
) -> None:
    file = json.dumps(a_build(**spec))

    assert why in installation.cluster.kubectl("apply", "-n", namespace, "-f", "-", input=file, check=False)


def test_delete_waits_until_the_remote_is_gone(walked: ClusterFixture, kubectl: Cluster) -> None:
    kubectl.kubectl("wait", "-n", walked.namespace, "--for=condition=Ready", "ad/quote", "--timeout=60s")

    kubectl.kubectl("delete", "ad,ab", "quote", "-n", walked.namespace, "--timeout=60s")

    assert {one["status"] for one in walked.simulator.state()["deployments"]} == {"deleted"}
