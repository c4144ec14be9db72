"""Each error of the cluster's adapter, at each verb: what is said meanwhile, and that the work goes on afterwards."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agentex_operator.core.errors import (
    Conflict,
    ExternalError,
    Rejected,
    Throttled,
    Unauthorized,
    Unavailable,
)
from agentex_operator.kube.kinds import (
    AGENT_BUILD,
    AGENT_DEPLOYMENT,
    AGENTEX_ACCOUNT,
    CONFIG_MAP,
    EVENT,
    NAMESPACE,
    SECRET,
    Kind,
)
from agentex_testkit import samples
from agentex_testkit.api_server import condition, gone, ready, says
from agentex_testkit.builders import a_build, a_context, a_deployment, a_secret, an_account, an_image, from_build
from agentex_testkit.fake_cluster.faults import Fault
from agentex_testkit.fake_cluster.requests import Verb
from agentex_testkit.harness import Harness

ERRORS: list[ExternalError] = [
    Conflict("changed"), Unavailable("away"), Throttled("busy", retry_after=timedelta(seconds=7)),
    Unauthorized("not allowed", status=403), Rejected("no", status=422),
]
WRITES: list[tuple[Verb, int]] = [("patch", 0), ("patch_status", 0), ("patch_status", 1), ("patch_status", 2)]
REMOTE = [AGENT_BUILD, AGENT_DEPLOYMENT]


def named(value: object) -> str:
    if isinstance(value, Kind):
        return value.kind
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    return type(value).__name__ if isinstance(value, ExternalError) else str(value)


def no_bug(harness: Harness) -> bool:
    return harness.engine is not None and harness.engine.bugs == 0


@pytest.mark.parametrize(("kind", "error", "write"), samples.matrix(REMOTE, ERRORS, WRITES, every=4), ids=named)
async def test_a_write_that_fails_is_made_up_for(
    harness: Harness, kind: Kind, error: ExternalError, write: tuple[Verb, int]
) -> None:
    verb, skip = write
    fault = harness.cluster.fail(Fault(verb, kind, error=error, skip=skip, times=2))
    harness.apply(a_context(), a_build(), a_deployment())

    await harness.wait(kind.kind, "quote", lambda obj: ready(obj) and fault.happened == 2, within=3600)

    assert harness.creates(harness.owner(kind.kind, "quote")) == 1
    assert no_bug(harness)


@pytest.mark.parametrize("kind", REMOTE, ids=named)
@pytest.mark.parametrize(("verb", "skip"), WRITES)
async def test_a_write_whose_answer_is_lost_is_not_taken_for_another_writers(
    harness: Harness, kind: Kind, verb: Verb, skip: int
) -> None:
    fault = harness.cluster.fail(Fault(verb, kind, error=Unavailable("lost"), effect=True, skip=skip))
    harness.apply(a_context(), a_build(), a_deployment())

    await harness.wait(kind.kind, "quote", lambda obj: ready(obj) and fault.happened == 1, within=3600)

    assert harness.creates(harness.owner(kind.kind, "quote")) == 1
    assert no_bug(harness)


@pytest.mark.parametrize(("kind", "error"), samples.matrix(REMOTE, ERRORS, every=2), ids=named)
async def test_a_finalizer_that_cannot_be_removed_is_removed_later(
    harness: Harness, kind: Kind, error: ExternalError
) -> None:
    harness.apply(an_image(), a_deployment())
    await harness.wait("AgentDeployment", "quote")
    of = harness.owner(kind.kind, "quote")
    fault = harness.cluster.fail(Fault("patch", kind, error=error, times=2))
    harness.delete(kind.kind, "quote")

    await harness.wait(kind.kind, "quote", gone, within=3600)

    assert fault.happened == 2
    assert [one["status"] for one in harness.living(of)] == []
    assert no_bug(harness)


@pytest.mark.parametrize("error", ERRORS, ids=named)
async def test_without_the_clusters_uid_no_pass_begins(make_harness: Any, error: ExternalError) -> None:
    harness: Harness = make_harness()
    fault = harness.cluster.fail(Fault("get", NAMESPACE, "kube-system", error=error, times=2))
    async with harness.running():
        harness.apply(an_image())
        await harness.settled()
        assert "finalizers" not in (harness.get("AgentBuild", "quote") or {})["metadata"]

        await harness.with_account()
        await harness.wait("AgentBuild", "quote")

        assert (fault.happened, no_bug(harness)) == (2, True)


@pytest.mark.parametrize(("error", "reason", "progress"), [
    (Unauthorized("namespaces is forbidden", status=403), "AccessDenied", "Stalled"),
    (Unavailable("away"), "RemoteUnavailable", "Reconciling"), (Throttled("busy"), "Throttled", "Reconciling"),
], ids=named)
@pytest.mark.parametrize("kind", REMOTE, ids=named)
async def test_a_pass_that_cannot_begin_without_the_clusters_uid_says_so(
    make_harness: Any, kind: Kind, error: ExternalError, reason: str, progress: str
) -> None:
    harness: Harness = make_harness()
    harness.cluster.fail(Fault("get", NAMESPACE, "kube-system", error=error, times=6))
    async with harness.running():
        harness.apply(an_image(), a_deployment())
        await harness.settled()

        found = await harness.wait(kind.kind, "quote", says("Ready", "False", reason))
        assert condition(found, progress)["reason"] == reason
        if reason == "AccessDenied":
            assert "kube-system" in condition(found, "Ready")["message"]
            assert "`get` on namespaces" in condition(found, "Ready")["message"]
        await harness.with_account()
        await harness.wait(kind.kind, "quote", within=3600)

        assert no_bug(harness)


@pytest.mark.parametrize("kind", REMOTE, ids=named)
async def test_a_cluster_without_the_namespace_kube_system_is_said_and_nothing_is_created(
    make_harness: Any, kind: Kind
) -> None:
    harness: Harness = make_harness()
    cluster = harness.cluster.read(NAMESPACE, None, "kube-system")
    assert cluster is not None
    harness.cluster.remove(NAMESPACE, None, "kube-system")
    async with harness.running():
        await harness.with_account()
        harness.apply(an_image(), a_deployment())

        found = await harness.wait(kind.kind, "quote", says("Ready", "False", "ClusterNotIdentified"))

        assert "Create the namespace kube-system" in condition(found, "Stalled")["message"]
        assert (harness.simulator.state()["builds"], harness.simulator.state()["deployments"]) == ([], [])
        harness.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}})
        await harness.wait(kind.kind, "quote", within=3600)


@pytest.mark.parametrize("kind", REMOTE, ids=named)
@pytest.mark.parametrize("error", [Unavailable("away"), Throttled("busy")], ids=named)
async def test_a_restart_without_the_clusters_uid_leaves_what_is_ready_and_goes_on_with_a_deletion(
    make_harness: Any, kind: Kind, error: ExternalError
) -> None:
    harness: Harness = make_harness()
    async with harness.running():
        await harness.with_account()
        harness.apply(an_image(), a_deployment())
        before = await harness.wait(kind.kind, "quote")
    harness.cluster.fail(Fault("get", NAMESPACE, "kube-system", error=error, times=3))
    async with harness.running():
        await harness.settled()
        assert harness.get(kind.kind, "quote") == before
        harness.delete("AgentDeployment", "quote")
        harness.delete("AgentBuild", "quote")
        await harness.wait(kind.kind, "quote", gone, within=3600)


@pytest.mark.parametrize(("error", "reason"), [
    (Unauthorized("not allowed", status=403), "AccessDenied"), (Unavailable("away"), "RemoteUnavailable"),
    (Throttled("busy"), "Throttled"),
], ids=named)
async def test_a_config_map_that_cannot_be_read_is_said_and_read_later(
    harness: Harness, error: ExternalError, reason: str
) -> None:
    harness.apply(a_context(), a_build())
    await harness.wait("AgentBuild", "quote")
    fault = harness.cluster.fail(Fault("get", CONFIG_MAP, error=error, times=2))
    await harness.advance(3)
    harness.apply(from_build())

    await harness.wait("AgentDeployment", "quote", lambda obj: condition(obj, "Ready").get("reason") == reason)
    await harness.wait("AgentDeployment", "quote", within=3600)

    assert (fault.happened, no_bug(harness)) == (2, True)


@pytest.mark.parametrize(("error", "reason"), [
    (Unauthorized("not allowed", status=403), "AccessDenied"), (Unavailable("away"), "RemoteUnavailable"),
    (Throttled("busy"), "Throttled"),
], ids=named)
async def test_a_key_that_cannot_be_read_is_said_and_read_later(
    bare: Harness, error: ExternalError, reason: str
) -> None:
    bare.cluster.fail(Fault("get", SECRET, error=error, times=3))
    bare.apply(a_secret(), an_account(bare.simulator.url), an_image())

    await bare.wait("AgentexAccount", "default", says("Ready", "False", reason))
    await bare.wait("AgentBuild", "quote", within=3600)

    assert no_bug(bare)


@pytest.mark.parametrize("error", ERRORS, ids=named)
@pytest.mark.parametrize("verb", ["get", "patch_status"])
async def test_an_account_whose_pass_fails_is_ready_later(bare: Harness, error: ExternalError, verb: Verb) -> None:
    fault = bare.cluster.fail(Fault(verb, AGENTEX_ACCOUNT, error=error, times=2))
    bare.apply(a_secret(), an_account(bare.simulator.url), an_image())

    await bare.wait("AgentexAccount", "default", within=3600)
    await bare.wait("AgentBuild", "quote", within=3600)

    assert (fault.happened, no_bug(bare)) == (2, True)


@pytest.mark.parametrize(("error", "reason"), [
    (Unauthorized("not allowed", status=403), "AccountNotReady"), (Unavailable("away"), None),
    (Throttled("busy"), None),
], ids=named)
async def test_labels_of_a_namespace_that_cannot_be_read_keep_an_account_shut(
    bare: Harness, error: ExternalError, reason: str | None
) -> None:
    bare.cluster.create(a_secret(), "agentex-system")
    bare.edit("Namespace", "team", metadata={"labels": {"team": "a"}})
    selector = {"matchLabels": {"team": "a"}}
    bare.apply(an_account(bare.simulator.url, "shared", "ClusterAgentexAccount", namespaceSelector=selector))
    await bare.wait("ClusterAgentexAccount", "shared")
    fault = bare.cluster.fail(Fault("get", NAMESPACE, "team", error=error, times=2))
    bare.apply(an_image(accountRef={"kind": "ClusterAgentexAccount", "name": "shared"}))
    await bare.settled()
    assert bare.simulator.state()["builds"] == []
    if reason is not None:
        await bare.wait("AgentBuild", "quote", says("Ready", "False", reason))

    await bare.wait("AgentBuild", "quote", within=3600)

    assert (fault.happened, no_bug(bare)) == (2, True)


@pytest.mark.parametrize("error", ERRORS, ids=named)
async def test_a_live_read_of_the_build_that_fails_deploys_later(harness: Harness, error: ExternalError) -> None:
    harness.apply(an_image())
    await harness.wait("AgentBuild", "quote")
    fault = harness.cluster.fail(Fault("get", AGENT_BUILD, error=error, times=2))
    harness.apply(a_deployment())

    await harness.wait("AgentDeployment", "quote", within=3600)

    assert (fault.happened, harness.creates(harness.owner("AgentDeployment", "quote"))) == (2, 1)
    assert no_bug(harness)


@pytest.mark.parametrize("error", ERRORS, ids=named)
async def test_events_that_cannot_be_written_keep_nothing_from_becoming_ready(
    harness: Harness, error: ExternalError
) -> None:
    harness.cluster.fail(Fault("create", EVENT, error=error, times=1000))
    harness.apply(an_image(), a_deployment())

    await harness.wait("AgentDeployment", "quote")

    assert harness.cluster.events("quote") == []
    assert no_bug(harness)
