"""An account in use stays under its resources: what holds it, what it says, and how it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import pytest

from agentex_operator.core.errors import Unauthorized, Unavailable
from agentex_operator.kube.kinds import AGENTEX_ACCOUNT, SECRET
from agentex_testkit import kstatus
from agentex_testkit.api_server import Object, condition, gone, ready, says
from agentex_testkit.builders import a_deployment, a_secret, an_account, an_image
from agentex_testkit.fake_cluster.answers import ApiError
from agentex_testkit.fake_cluster.faults import Fault
from agentex_testkit.harness import Harness

ACCOUNT = ("AgentexAccount", "default")
DEPLOYMENT, BUILD = ("AgentDeployment", "quote"), ("AgentBuild", "quote")
FINALIZER = "agentex.scale.com/remote"
ORPHAN = ("kubectl patch agentdeployment/quote --namespace=team --type=merge "
          """--patch='{"spec": {"deletionPolicy": "Orphan"}}'""")
MakeHarness = Callable[..., Harness]


def message(obj: Object) -> str:
    return str(condition(obj, "Ready")["message"])


async def in_use(harness: Harness) -> None:
    """A build and a deployment, both Ready."""
    harness.apply(an_image(), a_deployment())
    await harness.wait(*DEPLOYMENT)


def delete_all(harness: Harness) -> None:
    for kind, name in (ACCOUNT, DEPLOYMENT, BUILD):
        harness.delete(kind, name)


# --- the hold -------------------------------------------------------------------------------------------------------


async def test_an_account_is_held_before_it_is_used_and_idle_costs_no_more_writes(bare: Harness) -> None:
    bare.apply(a_secret(), an_account(bare.simulator.url), an_image())
    held_at_create: list[bool] = []

    def look() -> None:
        held_at_create.append(FINALIZER in (bare.get(*ACCOUNT) or {})["metadata"].get("finalizers", []))

    bare.cluster.fail(Fault("get", SECRET, act=look))
    await bare.wait(*BUILD)
    await bare.advance(60)
    writes = len(bare.cluster.writes(AGENTEX_ACCOUNT, "default"))
    await bare.advance(7200)

    assert held_at_create[0]
    assert len(bare.cluster.writes(AGENTEX_ACCOUNT, "default")) == writes


async def test_an_unused_account_goes_at_once(harness: Harness) -> None:
    harness.apply(an_image(suspend=True))
    harness.delete(*ACCOUNT)

    await harness.wait(*ACCOUNT, until=gone, within=1)


async def test_a_deleted_account_in_use_stays_and_says_what_holds_it(harness: Harness) -> None:
    await in_use(harness)

    harness.delete(*ACCOUNT)
    held = await harness.wait(*ACCOUNT, says("Ready", "False", "Deleting"), within=1)
    told = await harness.wait(*DEPLOYMENT, says("Ready", "False", "AccountDeleting"), within=1)

    assert (held["status"]["phase"], condition(held, "Reconciling")["status"]) == ("Deleting", "True")
    assert message(held).startswith("Held by 1 AgentBuild and 1 AgentDeployment created with this account in namespace "
                                    "team: AgentBuild quote, AgentDeployment quote.")
    assert "Delete them; with spec.deletionPolicy Orphan their remote objects stay." in message(held)
    assert kstatus.verdict(held) == "Terminating"
    assert kstatus.verdict(told) == "InProgress"
    assert "Delete this resource" in message(told)


async def test_the_message_names_a_few_of_many_holders(harness: Harness) -> None:
    for n in range(5):
        harness.apply(an_image(f"quote-{n}"))
    for n in range(5):
        await harness.wait("AgentBuild", f"quote-{n}")

    harness.delete(*ACCOUNT)
    held = await harness.wait(*ACCOUNT, says("Ready", "False", "Deleting"), within=1)

    assert "Held by 5 AgentBuilds" in message(held)
    assert "AgentBuild quote-2 and 2 more." in message(held)


async def test_a_deleted_account_creates_nothing_more(harness: Harness) -> None:
    await in_use(harness)
    harness.delete(*ACCOUNT)
    await harness.wait(*DEPLOYMENT, says("Ready", "False", "AccountDeleting"), within=1)

    harness.apply(an_image("late"))
    found = await harness.wait("AgentBuild", "late", says("Ready", "False", "AccountDeleting"), within=1)
    await harness.advance(600)

    assert harness.creates(harness.owner("AgentBuild", "late")) == 0
    assert "create this resource anew with another spec.accountRef" in message(found)
    assert condition(harness.get("AgentBuild", "late") or {}, "Stalled")["reason"] == "AccountDeleting"


async def test_the_account_goes_with_the_last_of_its_resources(harness: Harness) -> None:
    await in_use(harness)
    of = harness.owner(*DEPLOYMENT)

    delete_all(harness)
    await harness.wait(*ACCOUNT, until=gone, within=5)

    assert harness.get(*DEPLOYMENT) is harness.get(*BUILD) is None
    assert harness.living(of) == []


async def test_orphans_release_their_account_at_once(harness: Harness) -> None:
    harness.apply(an_image(deletionPolicy="Orphan"), a_deployment(deletionPolicy="Orphan"))
    await harness.wait(*DEPLOYMENT)
    of = harness.owner(*DEPLOYMENT)

    delete_all(harness)
    await harness.wait(*ACCOUNT, until=gone, within=1)

    assert len(harness.living(of)) == 1


async def bound_by_another_replica(harness: Harness) -> None:
    """A resource that another replica has bound to the account, which the watch has not told of yet."""
    harness.cluster.watch.hold()
    made = harness.apply(an_image())
    harness.edit(*BUILD, metadata={"finalizers": [FINALIZER]})
    harness.edit(*BUILD, status={
        "account": {"kind": ACCOUNT[0], "name": ACCOUNT[1], "accountID": "acct-1", "endpoint": harness.simulator.url},
        "operator": {"pendingCreate": {
            "token": "t", "attempt": 1, "startedAt": made["metadata"]["creationTimestamp"]}}})


@pytest.mark.parametrize("readable", [True, False], ids=["valid", "invalid"])
async def test_an_account_is_held_by_a_resource_that_the_cache_does_not_show(
    harness: Harness, readable: bool
) -> None:
    if not readable:
        harness.cluster.serve_any(AGENTEX_ACCOUNT)
        harness.edit(*ACCOUNT, spec={"endpoint": 7})
        await harness.settled()
    await bound_by_another_replica(harness)
    harness.delete(*ACCOUNT)
    assert harness.engine is not None
    harness.engine.observe(ACCOUNT[0], "MODIFIED", harness.get(*ACCOUNT) or {})
    await harness.advance(120)

    assert FINALIZER in (harness.get(*ACCOUNT) or {})["metadata"]["finalizers"]
    harness.cluster.watch.release()
    harness.take_away(*BUILD)
    await harness.wait(*ACCOUNT, until=gone, within=120)


async def test_an_account_stays_while_its_holders_cannot_be_listed(harness: Harness) -> None:
    fault = harness.cluster.fail(Fault("list", harness.kind("AgentDeployment"), error=Unavailable("away"), times=2))
    harness.delete(*ACCOUNT)

    await harness.wait(*ACCOUNT, until=gone, within=120)
    assert fault.happened == 2


async def test_an_account_cannot_be_made_again_while_it_is_held(harness: Harness) -> None:
    await in_use(harness)
    harness.delete(*ACCOUNT)

    with pytest.raises(ApiError):
        harness.cluster.create(an_account(harness.simulator.url), "team")


async def test_a_cluster_account_is_held_by_the_resources_of_every_namespace(bare: Harness) -> None:
    bare.cluster.create(a_secret(), "agentex-system")
    bare.apply(an_account(bare.simulator.url, "shared", "ClusterAgentexAccount", default=True))
    bare.apply(an_image())
    await bare.wait(*BUILD)
    other = {**an_image("other"), "metadata": {"name": "other", "namespace": "sales"}}
    bare.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sales"}})
    bare.cluster.create(other)
    await bare.until(lambda: ready(bare.cluster.read(bare.kind("AgentBuild"), "sales", "other")))

    bare.delete("ClusterAgentexAccount", "shared")
    held = await bare.wait("ClusterAgentexAccount", "shared", says("Ready", "False", "Deleting"), within=1)
    assert "in 2 namespaces: AgentBuild sales/other, AgentBuild team/quote." in message(held)
    bare.delete(*BUILD)
    await bare.wait("ClusterAgentexAccount", "shared", lambda obj: "in namespace sales: AgentBuild other." in message(
        obj or {}), within=10)

    bare.cluster.remove(bare.kind("AgentBuild"), "sales", "other")
    await bare.wait("ClusterAgentexAccount", "shared", until=gone, within=1)


async def test_an_account_does_not_wait_for_what_is_in_another_remote_account_of_its_name(harness: Harness) -> None:
    """Such a resource waits for the other account; this one must go, so that the other can be created."""
    await in_use(harness)
    harness.take_away(*ACCOUNT)
    harness.apply(an_account(harness.simulator.url, accountID="acct-2"))
    await harness.wait(*DEPLOYMENT, says("Ready", "False", "AccountChanged"))

    harness.delete(*ACCOUNT)
    await harness.wait(*ACCOUNT, until=gone, within=1)


# --- races ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", ["patch", "patch_status"], ids=["finalizer", "intent"])
async def test_an_account_deleted_at_a_write_before_the_post_stays_for_what_is_created(
    harness: Harness, write: Literal["patch", "patch_status"]
) -> None:
    harness.cluster.fail(Fault(write, harness.kind("AgentBuild"), act=lambda: harness.delete(*ACCOUNT)))
    harness.apply(an_image())

    await harness.until(lambda: harness.get(*BUILD) and harness.creates(harness.owner(*BUILD)), within=60)
    assert harness.get(*ACCOUNT) is not None

    harness.delete(*BUILD)
    await harness.wait(*ACCOUNT, until=gone)
    assert harness.get(*BUILD) is None


async def test_an_account_whose_pass_in_flight_creates_nothing_goes_after_it(harness: Harness) -> None:
    fault = harness.cluster.fail(Fault("patch", harness.kind("AgentBuild"), error=Unavailable("away"),
                                       act=lambda: harness.delete(*ACCOUNT)))
    harness.apply(an_image())

    await harness.wait(*ACCOUNT, until=gone, within=5)
    assert fault.happened == 1


async def test_the_finalizer_is_removed_later_where_the_api_server_is_away(harness: Harness) -> None:
    fault = harness.cluster.fail(Fault("patch", AGENTEX_ACCOUNT, error=Unavailable("away"), times=2))
    harness.delete(*ACCOUNT)

    await harness.wait(*ACCOUNT, until=gone, within=120)
    assert fault.happened == 2


async def test_an_operator_that_may_not_hold_an_account_says_which_right_it_lacks(bare: Harness) -> None:
    bare.cluster.fail(Fault("patch", AGENTEX_ACCOUNT, error=Unauthorized("403: may not patch agentexaccounts",
                                                                        status=403)))
    bare.apply(a_secret(), an_account(bare.simulator.url))

    found = await bare.wait(*ACCOUNT, says("Ready", "False", "AccessDenied"), within=5)
    assert "may not patch agentexaccounts" in message(found)

    await bare.wait(*ACCOUNT, within=120)


async def test_a_finalizer_that_somebody_removed_is_put_back(harness: Harness) -> None:
    harness.edit(*ACCOUNT, metadata={"finalizers": None})

    await harness.until(lambda: "finalizers" in (harness.get(*ACCOUNT) or {})["metadata"], within=5)


async def test_an_account_that_cannot_be_read_is_held_and_goes_too(harness: Harness) -> None:
    harness.cluster.serve_any(AGENTEX_ACCOUNT)
    await in_use(harness)
    harness.edit(*ACCOUNT, spec={"limits": 7})
    await harness.wait(*ACCOUNT, says("Ready", "False", "InvalidSpec"))

    harness.delete(*ACCOUNT)
    held = await harness.wait(*ACCOUNT, lambda obj: obj is not None and "Held by" in message(obj), within=5)
    assert "limits" in message(held)
    for kind, name in (DEPLOYMENT, BUILD):
        harness.edit(kind, name, spec={"deletionPolicy": "Orphan"})
        harness.delete(kind, name)

    await harness.wait(*ACCOUNT, until=gone, within=5)


# --- restarts, and what the account lacks ---------------------------------------------------------------------------


async def test_scenario_4d_an_account_pruned_in_the_same_commit_serves_until_the_end(make_harness: MakeHarness) -> None:
    """gitops.md 4d: DELETE answers 500, the operator restarts, and the remote API is mended later."""
    harness = make_harness()
    async with harness.running():
        await harness.with_account()
        await in_use(harness)
        of = harness.owner(*DEPLOYMENT)
        harness.simulator.fault("status", match={"method": "DELETE"}, status=500, forever=True)
        delete_all(harness)
        await harness.wait(*DEPLOYMENT, says("Ready", "False", "RemoteUnavailable"))

    async with harness.running():
        await harness.wait(*DEPLOYMENT, says("Ready", "False", "RemoteUnavailable"))
        held = harness.get(*ACCOUNT)
        assert held is not None
        assert kstatus.verdict(held) == "Terminating"
        assert harness.living(of)

        harness.simulator.clear_faults()
        await harness.wait(*ACCOUNT, until=gone)
        assert harness.get(*DEPLOYMENT) is None
        assert harness.living(of) == []


def without_account(harness: Harness) -> None:
    harness.take_away(*ACCOUNT)


def without_secret(harness: Harness) -> None:
    harness.cluster.remove(SECRET, "team", "agentex")


def without_both(harness: Harness) -> None:
    without_secret(harness)
    without_account(harness)


def without_key(harness: Harness) -> None:
    harness.edit("Secret", "agentex", data={"api-key": None})


TAKEN = {
    "account": (without_account, "There is no AgentexAccount 'default'.", "create AgentexAccount 'default' again"),
    "secret": (without_secret, "there is no Secret 'agentex' in namespace 'team'", "create Secret 'agentex'"),
    "both": (without_both, "There is no AgentexAccount 'default'.", "create AgentexAccount 'default' again"),
    "key": (without_key, "Secret 'agentex' in namespace 'team' has no key 'api-key'", "write a valid API key under"),
}


@pytest.mark.parametrize("terminating", [False, True], ids=["namespace", "terminating"])
@pytest.mark.parametrize("taken", TAKEN)
async def test_a_deletion_that_lacks_its_account_after_a_restart_names_a_step_that_ends_it(
    make_harness: MakeHarness, taken: str, terminating: bool
) -> None:
    take, what, remedy = TAKEN[taken]
    harness = make_harness()
    async with harness.running():
        await harness.with_account()
        await in_use(harness)
        remote = harness.status(*DEPLOYMENT)["deploymentID"]
        harness.simulator.fault("outage", match={"method": "DELETE"}, forever=True)
        harness.delete(*DEPLOYMENT)
        await harness.wait(*DEPLOYMENT, says("Ready", "False", "RemoteUnavailable"))
    take(harness)
    if terminating:
        harness.cluster.terminate("team")

    async with harness.running():
        waiting = await harness.wait(*DEPLOYMENT, lambda obj: "cannot be removed" in message(obj or {}), within=60)
        said = message(waiting)
        accounts_word = harness.get(*ACCOUNT)

        gone_with_namespace = terminating and taken == "key"
        assert ("there is no Secret" if gone_with_namespace else what) in said
        creates = taken != "key" or terminating
        assert (remedy in said) is not (terminating and creates)
        assert ("The namespace is being deleted, so nothing can be created in it." in said) is terminating
        assert f"To leave remote deployment {remote} in account acct-1 and end this deletion: {ORPHAN}" in said
        if accounts_word is not None and terminating:
            assert "reate it" not in message(accounts_word)
            assert "Held by" in message(accounts_word)
        assert kstatus.verdict(waiting) == "Terminating"

        harness.edit(*DEPLOYMENT, spec={"deletionPolicy": "Orphan"})
        await harness.wait(*DEPLOYMENT, until=gone)
        if terminating:
            await harness.until(lambda: harness.get(*ACCOUNT) is None)


async def test_a_terminated_namespace_is_torn_down_by_the_session_in_memory(harness: Harness) -> None:
    await in_use(harness)
    of = harness.owner(*DEPLOYMENT)

    harness.cluster.terminate("team")
    await harness.wait(*ACCOUNT, until=gone)

    assert harness.get(*DEPLOYMENT) is harness.get(*BUILD) is None
    assert harness.living(of) == []


async def test_the_resource_of_a_terminated_namespace_needs_the_secret_of_its_cluster_account(
    make_harness: MakeHarness
) -> None:
    """That Secret is in the operator's namespace, where a person can create it."""
    harness = make_harness()
    async with harness.running():
        harness.cluster.create(a_secret(), "agentex-system")
        harness.apply(an_account(harness.simulator.url, "shared", "ClusterAgentexAccount", default=True))
        await in_use(harness)
        of = harness.owner(*DEPLOYMENT)
    harness.cluster.remove(SECRET, "agentex-system", "agentex")
    harness.cluster.terminate("team")

    async with harness.running():
        waiting = await harness.wait(*DEPLOYMENT, lambda obj: "cannot be removed" in message(obj or {}), within=60)
        assert "the step that the status of ClusterAgentexAccount 'shared' names" in message(waiting)
        assert "Secret 'agentex'" not in message(waiting)

        harness.cluster.create(a_secret(), "agentex-system")
        await harness.wait(*DEPLOYMENT, until=gone)
        assert harness.living(of) == []


async def test_an_endpoint_that_is_allowed_no_more_keeps_the_account_and_says_so(make_harness: MakeHarness) -> None:
    harness = make_harness()
    async with harness.running():
        await harness.with_account()
        await in_use(harness)
    delete_all(harness)

    harness.settings = replace(harness.settings, allowed_endpoints=("*.scale.com",))
    async with harness.running():
        held = await harness.wait(*ACCOUNT, says("Ready", "False", "EndpointNotAllowed"))
        waiting = await harness.wait(*DEPLOYMENT, lambda obj: "cannot be removed" in message(obj or {}))
        assert "Held by" in message(held)
        assert "take the step that the status of AgentexAccount 'default' names" in message(waiting)
        for kind, name in (DEPLOYMENT, BUILD):
            if harness.get(kind, name) is not None:
                harness.edit(kind, name, spec={"deletionPolicy": "Orphan"})

        await harness.wait(*ACCOUNT, until=gone)
