"""Each call of an account's pass, and which account a resource may use."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentex_operator.core.errors import Unavailable
from agentex_operator.kube.kinds import AGENTEX_ACCOUNT, SECRET
from agentex_testkit.api_server import Object, condition, gone, ready, says
from agentex_testkit.builders import STUCK, a_build, a_context, a_deployment, a_secret, an_account, an_image
from agentex_testkit.fake_cluster.faults import Fault
from agentex_testkit.harness import Harness

SYSTEM = "agentex-system"  # where the Secrets of cluster accounts are


def sessions() -> list[str]:
    """The sessions that are open, by their polling tasks."""
    return sorted(task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("polling"))


def a_cluster_account(harness: Harness, **spec: Any) -> Object:
    account = an_account(harness.simulator.url, "shared", "ClusterAgentexAccount", **spec)
    harness.cluster.create(a_secret(), SYSTEM)
    return account


async def wait_for_shared(harness: Harness) -> None:
    await harness.wait("ClusterAgentexAccount", "shared")


# --- ReadKey --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("secret", "reason"), [
    (None, "SecretNotFound"),
    ({"stringData": {"other": "key-1"}}, "KeyNotFound"),
    ({"data": {"api-key": "/////w=="}}, "SecretInvalid"),
    ({"stringData": {"api-key": "key\n1"}}, "SecretInvalid"),
])
async def test_read_key_says_what_is_wrong_with_the_secret(bare: Harness, secret: Object | None, reason: str) -> None:
    if secret is not None:
        bare.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "agentex"}, **secret})
    bare.apply(an_account(bare.simulator.url), an_image())

    found = await bare.wait("AgentexAccount", "default", says("Ready", "False", reason))
    await bare.wait("AgentBuild", "quote", says("Ready", "False", "AccountNotReady"))

    assert bare.simulator.calls() == []
    assert "key\n1" not in condition(found, "Ready")["message"]


async def test_read_key_drops_a_byte_order_mark(bare: Harness) -> None:
    bare.apply(a_secret(key="\ufeffkey-1"), an_account(bare.simulator.url))

    await bare.wait("AgentexAccount", "default")


async def test_read_key_takes_another_key_without_a_restart(harness: Harness) -> None:
    harness.simulator.set_keys("acct-1", "key-2")
    harness.apply(a_secret(key="key-2"))
    harness.apply(an_image())

    await harness.wait("AgentBuild", "quote")

    assert sessions() == ["polling builds", "polling deployments"]


async def test_read_key_of_a_cluster_account_looks_in_the_operators_namespace(bare: Harness) -> None:
    bare.apply(a_cluster_account(bare))
    await wait_for_shared(bare)

    assert bare.cluster.read(SECRET, "team", "agentex") is None


async def test_read_key_keeps_the_key_out_of_every_log_line(harness: Harness) -> None:
    assert "key-1" not in harness.redactor.clean("the key is key-1")


async def test_an_account_made_anew_while_its_key_is_read_leaves_no_session_behind(bare: Harness) -> None:
    bare.apply(a_secret())

    def replace() -> None:
        bare.take_away("AgentexAccount", "default")
        bare.apply(an_account(bare.simulator.url))

    bare.cluster.fail(Fault("get", SECRET, act=replace))
    bare.apply(an_account(bare.simulator.url))
    await bare.wait("AgentexAccount", "default")

    assert sessions() == ["polling builds", "polling deployments"]


# --- ProbeAccount ---------------------------------------------------------------------------------------------------


async def test_probe_finds_a_refused_key_and_stops_the_traffic(harness: Harness) -> None:
    harness.apply(an_image(), a_deployment())
    await harness.wait("AgentDeployment", "quote")
    harness.simulator.set_keys("acct-1", "another")
    await harness.wait("AgentexAccount", "default", says("Ready", "False", "AccessDenied"), within=3600)
    found = await harness.wait("AgentBuild", "quote", says("Ready", "False", "AccessDenied"))
    calls = len(harness.simulator.calls())

    await harness.advance(600)

    assert len(harness.simulator.calls()) - calls <= 600 / 60 + 1
    assert "key-1" not in condition(found, "Ready")["message"]


async def test_probe_finds_a_key_that_is_accepted_again(harness: Harness) -> None:
    harness.simulator.set_keys("acct-1", "another")
    harness.apply(an_image())
    await harness.wait("AgentexAccount", "default", says("Ready", "False", "AccessDenied"), within=30)
    harness.simulator.set_keys("acct-1", "key-1")

    await harness.wait("AgentBuild", "quote")

    assert ready(harness.get("AgentexAccount", "default"))


async def test_probe_says_that_the_account_is_away_and_resources_stay_as_they_are(harness: Harness) -> None:
    harness.apply(an_image(), a_deployment())
    await harness.wait("AgentDeployment", "quote")
    harness.simulator.fault("outage", mode="rst", forever=True)

    found = await harness.wait("AgentexAccount", "default", lambda obj: not ready(obj), within=3600)

    assert condition(found, "Ready")["reason"] == "RemoteUnavailable"
    assert ready(harness.get("AgentDeployment", "quote"))


async def test_probe_is_not_made_for_an_account_that_went_unseen(harness: Harness) -> None:
    harness.cluster.watch.hold()
    harness.take_away("AgentexAccount", "default")
    harness.cluster.watch.lose()
    harness.cluster.watch.release()
    assert harness.engine is not None

    await harness.until(lambda: harness.engine and harness.engine.find("AgentexAccount", "team", "default") is None)
    await harness.advance(1)

    assert sessions() == []


async def test_an_endpoint_without_tls_is_refused_unless_allowed(make_harness: Any) -> None:
    harness = make_harness(allow_http_endpoints=False)
    async with harness.running():
        harness.apply(a_secret(), an_account(harness.simulator.url))
        await harness.wait("AgentexAccount", "default", says("Ready", "False", "InvalidEndpoint"))

    assert harness.simulator.calls() == []


async def test_an_endpoint_that_leads_nowhere_is_said_to_be_so(bare: Harness) -> None:
    bare.apply(a_secret(), an_account("https://agentex.invalid:99999"))

    found = await bare.wait("AgentexAccount", "default", says("Ready", "False"))

    assert condition(found, "Ready")["reason"] == "InvalidURL"
    assert condition(found, "Stalled")["status"] == "True"


async def test_the_status_of_an_account_counts_what_is_there(harness: Harness) -> None:
    harness.apply(a_context(dockerfile=STUCK), a_build(), an_image("other"), a_deployment("other"))
    await harness.wait("AgentDeployment", "other")

    def counted(status: Object) -> bool:
        return (status.get("deployments", {}).get("healthy"), status.get("builds", {}).get("running")) == (1, 1)

    # three poll intervals: long before the account looks again by itself
    await harness.until(lambda: counted(harness.status("AgentexAccount", "default")), within=15)


async def test_a_status_of_an_account_that_cannot_be_written_is_written_later(bare: Harness) -> None:
    fault = bare.cluster.fail(Fault("patch_status", AGENTEX_ACCOUNT, error=Unavailable("away"), times=2))
    bare.apply(an_image())

    await bare.with_account()
    await bare.wait("AgentBuild", "quote")

    assert fault.happened == 2


# --- which account --------------------------------------------------------------------------------------------------


async def test_a_resource_without_an_account_waits_and_is_woken_by_it(bare: Harness) -> None:
    bare.apply(an_image())
    await bare.wait("AgentBuild", "quote", says("Ready", "False", "AccountNotFound"))

    bare.apply(a_secret(), an_account(bare.simulator.url))

    await bare.wait("AgentBuild", "quote", within=5)


async def test_a_named_account_that_is_absent_is_said_to_be_so(harness: Harness) -> None:
    harness.apply(an_image(accountRef={"name": "absent"}))

    found = await harness.wait("AgentBuild", "quote", says("Ready", "False", "AccountNotFound"))

    assert "absent" in condition(found, "Ready")["message"]


@pytest.mark.parametrize("kind", ["AgentexAccount", "ClusterAgentexAccount"])
async def test_a_resource_that_names_the_account_it_is_bound_to_stays_as_it_is(bare: Harness, kind: str) -> None:
    shared = a_cluster_account(bare, default=True)
    account = shared if kind == "ClusterAgentexAccount" else an_account(bare.simulator.url)
    bare.apply(a_secret(), account, an_image(), a_deployment())
    await bare.wait("AgentDeployment", "quote")
    before = {one: bare.status(one, "quote")["account"] for one in ("AgentBuild", "AgentDeployment")}
    writes = harness_writes(bare)

    for one, bound in before.items():
        bare.edit(one, "quote", spec={"accountRef": {"kind": kind, "name": bound["name"]}})
        await bare.wait(one, "quote", lambda obj: ready(obj) and obj["status"]["observedGeneration"] == 2)
    await bare.advance(3600)

    assert {one: bare.status(one, "quote")["account"] for one in before} == before
    assert all(ready(bare.get(one, "quote")) for one in before)
    assert harness_writes(bare) == writes


async def test_the_default_account_of_the_cluster_serves_a_namespace_without_one(bare: Harness) -> None:
    bare.apply(a_cluster_account(bare, default=True), an_image())

    built = await bare.wait("AgentBuild", "quote")

    assert built["status"]["account"]["name"] == "shared"


async def test_an_account_of_the_namespace_goes_before_that_of_the_cluster(harness: Harness) -> None:
    harness.apply(a_cluster_account(harness, default=True))
    await wait_for_shared(harness)
    harness.apply(an_image())

    built = await harness.wait("AgentBuild", "quote")

    assert built["status"]["account"]["kind"] == "AgentexAccount"


async def test_a_selector_says_which_namespaces_may_use_an_account(bare: Harness) -> None:
    bare.apply(a_cluster_account(bare, namespaceSelector={"matchLabels": {"team": "a"}}))
    await wait_for_shared(bare)
    bare.apply(an_image(accountRef={"kind": "ClusterAgentexAccount", "name": "shared"}))
    await bare.wait("AgentBuild", "quote", says("Ready", "False", "AccountNotAllowed"))
    assert harness_posts(bare) == 0

    bare.edit("Namespace", "team", metadata={"labels": {"team": "a"}})

    await bare.wait("AgentBuild", "quote")


def harness_writes(harness: Harness) -> int:
    return sum(call["method"] != "GET" for call in harness.simulator.calls())


def harness_posts(harness: Harness) -> int:
    return sum(call["method"] == "POST" for call in harness.simulator.calls())


async def test_a_resource_of_an_account_that_went_asks_nothing_more(harness: Harness) -> None:
    harness.apply(an_image(), a_deployment())
    await harness.wait("AgentDeployment", "quote")
    harness.take_away("AgentexAccount", "default")
    await harness.wait("AgentDeployment", "quote", says("Ready", "False", "AccountNotFound"))
    calls = len(harness.simulator.calls())

    await harness.advance(900)
    assert len(harness.simulator.calls()) == calls

    harness.apply(an_account(harness.simulator.url))
    await harness.wait("AgentDeployment", "quote")


async def test_a_resource_of_an_account_that_became_another_says_so(harness: Harness) -> None:
    harness.apply(an_image())
    await harness.wait("AgentBuild", "quote")
    harness.edit("AgentexAccount", "default", spec={"accountID": "acct-2"})

    await harness.wait("AgentBuild", "quote", says("Ready", "False", "AccountChanged"))
    harness.edit("AgentexAccount", "default", spec={"accountID": "acct-1"})
    await harness.wait("AgentBuild", "quote")

    assert harness.creates(harness.owner("AgentBuild", "quote")) == 1


async def test_an_account_made_anew_with_another_spelling_of_its_endpoint_leaves_its_resources_as_they_are(
    harness: Harness
) -> None:
    harness.apply(an_image(), a_deployment())
    deployed = await harness.wait("AgentDeployment", "quote")
    harness.take_away("AgentexAccount", "default")
    harness.apply(an_account(f"{harness.simulator.url.upper().replace('HTTP', 'http')}/"))
    await harness.wait("AgentexAccount", "default")
    await harness.advance(600)

    after = harness.status("AgentDeployment", "quote")
    assert ready(harness.get("AgentDeployment", "quote"))
    assert after["deploymentID"] == deployed["status"]["deploymentID"]

    harness.delete("AgentDeployment", "quote")
    await harness.wait("AgentDeployment", "quote", gone)


@pytest.mark.parametrize("takes_away", ["the account", "the Secret", "both"])
async def test_a_deletion_in_a_dying_namespace_names_a_step_that_can_be_taken_there(
    make_harness: Any, takes_away: str
) -> None:
    harness = make_harness()
    async with harness.running():
        await harness.with_account()
        harness.apply(an_image(), a_deployment())
        await harness.wait("AgentDeployment", "quote")
        harness.delete("AgentDeployment", "quote")
        harness.simulator.fault("outage", match={"method": "DELETE"}, forever=True)
    if takes_away != "the Secret":
        harness.take_away("AgentexAccount", "default")
    if takes_away != "the account":
        harness.cluster.remove(SECRET, "team", "agentex")

    async with harness.running():
        waits = says("Ready", "False", "AccountNotReady" if takes_away == "the Secret" else "AccountNotFound")
        found = await harness.wait("AgentDeployment", "quote", waits)
        message = condition(found, "Ready")["message"]
        assert "Create" not in message
        assert ("kubectl patch agentdeployment/quote --namespace=team --type=merge "
                """--patch='{"spec": {"deletionPolicy": "Orphan"}}'""") in message

        harness.edit("AgentDeployment", "quote", spec={"deletionPolicy": "Orphan"})
        await harness.wait("AgentDeployment", "quote", gone)


async def test_what_is_deleted_after_its_account_and_its_key_is_torn_down_by_the_old_session(harness: Harness) -> None:
    harness.apply(an_image(), a_deployment())
    await harness.wait("AgentDeployment", "quote")
    of = harness.owner("AgentDeployment", "quote")
    harness.cluster.remove(SECRET, "team", "agentex")
    harness.delete("AgentexAccount", "default")
    for kind in ("AgentDeployment", "AgentBuild"):
        harness.delete(kind, "quote")

    await harness.wait("AgentDeployment", "quote", gone)
    await harness.wait("AgentBuild", "quote", gone)
    await harness.advance(1)

    assert (harness.living(of), sessions()) == ([], [])
