"""An exception that nobody listed, out of any call of any adapter: the status says so, keeps what it knew, recovers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.reconcile.conftest import MakeHarness
from tests.reconcile.throwing import CANARY, Method, Patches, Throwing, methods

from agentex_operator.api.build import AgentBuild
from agentex_operator.core import build, conditions
from agentex_operator.kube.cluster import KubeCluster
from agentex_operator.kube.kinds import AGENT_BUILD, AGENT_DEPLOYMENT, AGENTEX_ACCOUNT
from agentex_testkit.api_server import Object, condition, gone, says
from agentex_testkit.builders import a_build, a_context, a_secret, an_account, an_image, from_build
from agentex_testkit.harness import Harness

OBJECTS = ((AGENTEX_ACCOUNT.kind, "default"), (AGENT_BUILD.kind, "quote"), (AGENT_DEPLOYMENT.kind, "quote"))
RESOURCES = OBJECTS[1:]
REFERENCE = re.compile(r"\(reference ([0-9a-f]{10})\)")
IDS = ("buildID", "deploymentID", "account", "image", "contextDigest", "inputsDigest", "attempt", "operator")
ERRORS = {"RuntimeError before": (RuntimeError, False), "OverflowError after": (OverflowError, True)}

# Why a method is not called by a pass of these three objects.
NOT_IN_A_PASS = {
    "KubeCluster.pages": "once, before the first pass",
    "KubeCluster.served": "no pass: the check of the CRDs (tests/reconcile/test_crds.py)",
    "KubeCluster.schemas": "no pass, unless a CRD is old: the check of the CRDs (tests/reconcile/test_crds.py)",
    "KubeCluster.storage_version": "no pass: the check of the storage (tests/reconcile/test_storage_check.py)",
    "KubeCluster.forget_config_map": "no pass: the watch of ConfigMaps (tests/reconcile/test_watched_references.py)",
    "KubeCluster.forget_config_maps": "no pass: the watch of ConfigMaps (tests/reconcile/test_watched_references.py)",
    "KubeCluster.delete": "an expired preview with onExpiry Delete",
    "AgentexClient.build_log_tail": "a build that failed",
    "AgentexClient.cancel_build": "a build that is deleted while it runs",
    "AgentexClient.get_build": "a build that a list does not show",
    "AgentexClient.find_agent": "an account whose list is not read to its end",
    "Accounts.recheck_account": "a key that is refused",
    "Accounts.set_unreadable": "an account that is invalid",
    "Accounts.leave": "an account that is deleted",
    "Accounts.is_terminating": "a deletion without a usable account",
    "Accounts.stop": "once, at the end", "Sources.close": "once, at the end",
    "Inventory.run": "once, a task of its own; what a listing raises, it survives (Poller)",
    "Accounts.find": "an account whose pass raised",
    "Inventory.close": "the end of a session",
    "Inventory.retry_now": "a new key",
    "Recorder.start": "once, before the first pass", "Recorder.drain": "once, at the end",
    "Recorder.flushed": "once, at the end",
}
# The methods after whose exception no status can be written, or none is left to be written.
TOLD_BY_THE_LOG_ONLY = {"KubeCluster.patch", "Accounts.forget", "Recorder.emit"}


@pytest.fixture
def patches() -> Iterator[Patches]:
    with Patches() as found:
        yield found


def references(caplog: pytest.LogCaptureFixture) -> set[str]:
    """The references of all failures that the log has."""
    found = (getattr(record, "fields", {}).get("reference") for record in caplog.records)
    return {reference for reference in found if reference}


def reported(harness: Harness, since: int = 0) -> set[str]:
    """The references of InternalError in all statuses that were written, from that request on."""
    statuses = [one.body for one in harness.cluster.fake_api.requests[since:] if one.verb == "patch_status"]
    assert CANARY not in json.dumps(statuses)
    return {found[1] for one in statuses for said in one["status"].get("conditions") or ()
            if said["reason"] == "InternalError" and (found := REFERENCE.search(said["message"]))}


def kept(harness: Harness) -> dict[str, dict[str, Any]]:
    """What the statuses know of the remote side."""
    return {kind: {key: value for key, value in harness.status(kind, name).items() if key in IDS}
            for kind, name in RESOURCES}


async def all_ready(harness: Harness) -> None:
    for kind, name in OBJECTS:
        await harness.wait(kind, name)


def test_every_exemption_is_about_a_method_that_exists() -> None:
    assert (NOT_IN_A_PASS.keys() | TOLD_BY_THE_LOG_ONLY) - {str(method) for method in methods()} == set()


@pytest.mark.exhaustive  # all methods together take a minute of CPU
@pytest.mark.parametrize(("error", "after"), ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("method", [*methods()], ids=str)
async def test_an_exception_out_of_a_call_is_reported_and_survived(
    make_harness: MakeHarness, patches: Patches, caplog: pytest.LogCaptureFixture, method: Method,
    error: type[Exception], after: bool,
) -> None:
    harness, throwing = make_harness(), Throwing(patches, method, error, after=after)
    owners: list[str] = []

    async def under_the_fault() -> None:
        before, since = throwing.happened, len(harness.cluster.fake_api.requests)
        throwing.armed = True
        await harness.advance(40)
        throwing.armed = False
        shown = reported(harness, since)
        assert shown <= references(caplog)
        lasts = all(harness.get(kind, name) for kind, name in OBJECTS)
        if throwing.happened > before and lasts and str(method) not in TOLD_BY_THE_LOG_ONLY | NOT_IN_A_PASS.keys():
            assert shown, "no status says so"

    async with harness.running():
        harness.apply(a_secret(), an_account(harness.simulator.url, pollInterval="5s"), a_context(), a_build(),
                      from_build(preview={"ttl": "10h"}))
        await under_the_fault()
        await all_ready(harness)
        owners = [harness.owner(kind, name) for kind, name in RESOURCES]
        assert [len(harness.living(owner)) + len(harness.remotes(owner)) > 0 for owner in owners] == [True, True]
        known = kept(harness)

        await harness.advance(1)  # so that the listings of before are not fresh enough
        for kind, name in OBJECTS:
            harness.annotate(kind, name, reconcile_requested_at="now")
        await under_the_fault()
        assert kept(harness) == known
        await all_ready(harness)

        for kind, name in RESOURCES:
            harness.delete(kind, name)
        await under_the_fault()
        for kind, name in RESOURCES:
            await harness.wait(kind, name, gone)

    assert [harness.creates(owner) for owner in owners] == [1, 1]
    assert harness.living(owners[1]) == []
    assert throwing.happened or str(method) in NOT_IN_A_PASS


# --- exceptions of the decisions --------------------------------------------------------------------------------------


async def test_an_exception_of_a_rule_is_reported_once_and_ends_by_itself(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    harness.apply(an_image())
    before = (await harness.wait("AgentBuild", "quote"))["status"]
    with monkeypatch.context() as patched:
        patched.setattr(build, "decide", lambda *_: 1 // 0)
        harness.annotate("AgentBuild", "quote", note="1")
        await harness.advance(300)
        found = harness.get("AgentBuild", "quote") or {}
        version = found["metadata"]["resourceVersion"]
        await harness.advance(900)
        assert (harness.get("AgentBuild", "quote") or {})["metadata"]["resourceVersion"] == version

    assert len(reported(harness)) == 1
    assert references(caplog) == reported(harness)
    assert condition(found, "Succeeded")["status"] == "True"
    assert {key: found["status"][key] for key in before if key not in ("conditions", "phase")} == {
        key: before[key] for key in before if key not in ("conditions", "phase")}
    assert [one["type"] for one in harness.cluster.events("quote") if one["reason"] == "InternalError"] == ["Warning"]
    await harness.wait("AgentBuild", "quote")


async def test_what_spoke_of_an_earlier_generation_is_unknown(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.apply(an_image())
    await harness.wait("AgentBuild", "quote")
    with monkeypatch.context() as patched:
        patched.setattr(build, "decide", lambda *_: 1 // 0)
        harness.edit("AgentBuild", "quote", spec={"source": {"image": {"url": "elsewhere.invalid/quote:2"}}})
        await harness.advance(10)
        found = harness.get("AgentBuild", "quote") or {}

    generation = found["metadata"]["generation"]
    succeeded = condition(found, "Succeeded")
    assert (succeeded["status"], succeeded["reason"]) == ("Unknown", "InternalError")
    assert found["status"]["observedGeneration"] == generation
    assert conditions.lint(AgentBuild.parse(found).status.conditions, generation) == []


def is_told(obj: Object | None) -> bool:
    return says("Ready", "False", "AccountNotReady")(obj)


async def test_resources_of_an_account_whose_first_pass_raises_are_told(bare: Harness, patches: Patches) -> None:
    throwing = Throwing(patches, Method(KubeCluster, "secret"), RuntimeError, after=False)
    throwing.armed = True
    bare.apply(a_secret(), an_account(bare.simulator.url), an_image())

    found = await bare.wait("AgentBuild", "quote", is_told)

    assert "unexpected error" in condition(found, "Ready")["message"]
    throwing.armed = False
    await bare.wait("AgentBuild", "quote")
