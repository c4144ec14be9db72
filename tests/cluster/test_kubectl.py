"""What a user types: the real kubectl waits for, lists, explains and refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from tests.house.tree import ROOT

from agentex_dev.cluster import Cluster
from agentex_testkit.builders import FAILING, a_build, a_context, a_secret, an_account, an_image, from_build
from agentex_testkit.cluster_fixture import ClusterFixture
from agentex_testkit.installation import Installation

BOTH_KINDS = pytest.mark.parametrize("plural", ["agentbuilds", "agentdeployments"])
REQUESTS = {  # resource -> annotation -> the status field that acknowledges it
    "ab/asked": {"agentex.scale.com/reconcile-requested-at": "lastHandledReconcileRequestedAt",
                 "reconcile.fluxcd.io/requestedAt": "lastHandledReconcileAt",
                 "agentex.scale.com/rebuild-requested-at": "lastHandledRebuildRequestedAt"},
    "ad/quote": {"agentex.scale.com/reconcile-requested-at": "lastHandledReconcileRequestedAt",
                 "reconcile.fluxcd.io/requestedAt": "lastHandledReconcileAt"},
}


def version_of(plural: str) -> dict[str, Any]:
    """The version that the CRD of this kind has: its columns and its schema."""
    crd = yaml.safe_load((ROOT / "crds" / f"agentex.scale.com_{plural}.yaml").read_text())
    return dict(crd["spec"]["versions"][0])


def properties(plural: str, *path: str) -> dict[str, dict[str, Any]]:
    """The fields under a field of the kind, each with its schema."""
    schema = version_of(plural)["schema"]["openAPIV3Schema"]
    for name in path:
        schema = schema["properties"][name]
    return dict(schema["properties"])


def cells(table: str) -> dict[str, str]:
    """The only row of a table that kubectl printed, by column."""
    header, row = table.splitlines()
    starts = [at for at, letter in enumerate(header) if letter != " " and header[at - 1:at] in ("", " ")]
    ends = [*starts[1:], None]
    return {header[start:end].strip(): row[start:end].strip() for start, end in zip(starts, ends, strict=True)}


def one_line(text: str) -> str:
    return " ".join(text.split())


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


@BOTH_KINDS
@pytest.mark.parametrize("path", [("spec",), ("status",), ("status", "operator")])
def test_explain_describes_every_field(installation: Installation, plural: str, path: tuple[str, ...]) -> None:
    said = one_line(installation.cluster.kubectl("explain", ".".join((plural, *path))))

    described = {name: one_line(field["description"]) for name, field in properties(plural, *path).items()}
    assert described
    assert {name for name, text in described.items() if name not in said or text not in said} == set()


@BOTH_KINDS
@pytest.mark.parametrize("wide", [False, True])
def test_get_shows_the_columns_of_the_crd_with_the_values_that_they_name(
        walked: ClusterFixture, kubectl: Cluster, plural: str, wide: bool) -> None:
    kubectl.kubectl("wait", "-n", walked.namespace, "--for=condition=Ready", f"{plural}/quote", "--timeout=60s")
    columns = [one for one in version_of(plural)["additionalPrinterColumns"] if wide or not one.get("priority")]
    template = r"{'\n'}".join(f"{{{one['jsonPath']}}}" for one in columns)

    shown = cells(kubectl.kubectl("get", plural, "quote", "-n", walked.namespace, *(["-o", "wide"] if wide else [])))
    values = kubectl.kubectl("get", plural, "quote", "-n", walked.namespace, "-o", f"jsonpath={template}").split("\n")

    named = {one["name"].upper(): value for one, value in zip(columns, values, strict=True)}
    assert list(shown) == ["NAME", *named]
    assert {**shown, "AGE": ""} == {"NAME": "quote", **named, "AGE": ""}
    assert (shown["READY"], shown["AGE"] != "") == ("True", True)


def test_wait_for_stalled_ends_where_wait_for_ready_does_not(walked: ClusterFixture, kubectl: Cluster) -> None:
    file = json.dumps({"apiVersion": "v1", "kind": "List",
                       "items": [a_context("broken", dockerfile=FAILING), a_build("broken")]})
    kubectl.kubectl("apply", "-n", walked.namespace, "-f", "-", input=file)

    stalled = kubectl.kubectl("wait", "-n", walked.namespace, "--for=condition=Stalled", "ab/broken", "--timeout=60s")
    ready = kubectl.kubectl("wait", "-n", walked.namespace, "--for=condition=Ready", "ab/broken", "--timeout=1s",
                            check=False)
    row = cells(kubectl.kubectl("get", "ab", "broken", "-n", walked.namespace))
    kubectl.kubectl("delete", "ab/broken", "-n", walked.namespace, "--timeout=60s")

    assert "condition met" in stalled
    assert "timed out waiting for the condition" in ready
    assert (row["READY"], row["REASON"]) == ("False", "BuildFailed")


@pytest.mark.parametrize("resource", REQUESTS)
def test_wait_for_each_request_annotation_ends_when_its_field_equals_it(
        walked: ClusterFixture, kubectl: Cluster, resource: str) -> None:
    kubectl.kubectl("apply", "-n", walked.namespace, "-f", "-", input=json.dumps(an_image("asked")))
    kubectl.kubectl("wait", "-n", walked.namespace, "--for=condition=Ready", resource, "--timeout=60s")
    requested = {annotation: f"{number}-{resource}" for number, annotation in enumerate(REQUESTS[resource])}
    kubectl.kubectl("annotate", "-n", walked.namespace, resource, "--overwrite",
                    *(f"{annotation}={value}" for annotation, value in requested.items()))

    for annotation, field in REQUESTS[resource].items():
        waits = f"--for=jsonpath={{.status.{field}}}={requested[annotation]}"
        said = kubectl.kubectl("wait", "-n", walked.namespace, waits, resource, "--timeout=60s")

        assert "condition met" in said
    kubectl.kubectl("delete", "ab/asked", "-n", walked.namespace, "--timeout=60s")


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
