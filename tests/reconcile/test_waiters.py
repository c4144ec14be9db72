"""What docs/status.md promises to a waiter: Ready beside an acknowledged request tells what was found after it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

import pytest
from tests.reconcile.conftest import MakeHarness
from tests.reconcile.test_watched_references import another_context, denied

from agentex_operator.kube.kinds import AGENT_BUILD, AGENT_DEPLOYMENT, Kind
from agentex_testkit.api_server import Object, condition
from agentex_testkit.builders import a_build, a_context, a_deployment, a_manifest, an_image, from_build
from agentex_testkit.fake_cluster.faults import Fault
from agentex_testkit.harness import Harness

ASKED = "lastHandledReconcileRequestedAt"

MOMENT = 0.5  # seconds; what was read of the cluster before is still cached


class Versions:
    """Every version of an object: as it is before each write of its status, and as it is in the end."""

    def __init__(self, harness: Harness, kind: Kind) -> None:
        self.harness, self.kind = harness, kind
        self.seen: list[Object] = []
        harness.cluster.fail(Fault("patch_status", kind, act=self.look, times=math.inf))

    def look(self) -> None:
        self.seen.append(self.harness.get(self.kind.kind, "quote") or {})

    def with_ready_acknowledged(self, value: str) -> list[Object]:
        """Those in which a waiter sees the request acknowledged and Ready True."""
        self.look()
        return [one for one in self.seen
                if one["status"].get(ASKED) == value and condition(one, "Ready")["status"] == "True"]


@pytest.fixture(params=["watched", "polled"])
async def harness(request: pytest.FixtureRequest, make_harness: MakeHarness) -> AsyncIterator[Harness]:
    """A running operator with the account `default`; its ConfigMaps are watched, or polled."""
    made = make_harness()
    if request.param == "polled":
        denied(made)
    async with made.running():
        await made.with_account()
        yield made


async def test_a_build_is_not_ready_with_its_former_context_once_the_request_is_acknowledged(harness: Harness) -> None:
    harness.apply(a_context(), a_build())
    before = await harness.wait("AgentBuild", "quote")
    versions = Versions(harness, AGENT_BUILD)
    await harness.advance(MOMENT)

    harness.apply(another_context())
    harness.annotate("AgentBuild", "quote", reconcile_requested_at="1")
    await harness.until(lambda: versions.with_ready_acknowledged("1"))

    ids = {one["status"]["buildID"] for one in versions.with_ready_acknowledged("1")}
    assert before["status"]["buildID"] not in ids


async def test_a_deployment_is_not_ready_with_its_former_manifest_once_the_request_is_acknowledged(
        harness: Harness) -> None:
    texts = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "texts"}}
    ref = {"configMapKeyRef": {"name": "texts", "key": "manifest"}}
    harness.apply(an_image(), {**texts, "data": {"manifest": a_manifest()}}, a_deployment(manifest=ref))
    before = await harness.wait("AgentDeployment", "quote")
    versions = Versions(harness, AGENT_DEPLOYMENT)
    await harness.advance(MOMENT)

    harness.apply({**texts, "data": {"manifest": a_manifest(description="answers otherwise")}})
    harness.annotate("AgentDeployment", "quote", reconcile_requested_at="1")
    await harness.until(lambda: versions.with_ready_acknowledged("1"))

    ids = {one["status"]["deploymentID"] for one in versions.with_ready_acknowledged("1")}
    assert before["status"]["deploymentID"] not in ids


async def test_a_deployment_is_not_ready_with_its_former_image_once_the_request_is_acknowledged(
        harness: Harness) -> None:
    harness.apply(a_context(), a_build(), from_build())
    before = await harness.wait("AgentDeployment", "quote")
    first = harness.status("AgentBuild", "quote")["buildID"]
    versions = Versions(harness, AGENT_DEPLOYMENT)

    def built_anew() -> bool:
        found = harness.get("AgentBuild", "quote") or {}
        return found["status"]["buildID"] != first and condition(found, "Ready")["status"] == "True"

    harness.annotate("AgentBuild", "quote", rebuild_requested_at="1")
    await harness.until(built_anew)
    harness.annotate("AgentDeployment", "quote", reconcile_requested_at="1")
    await harness.until(lambda: versions.with_ready_acknowledged("1"))

    ids = {one["status"]["deploymentID"] for one in versions.with_ready_acknowledged("1")}
    assert before["status"]["deploymentID"] not in ids
