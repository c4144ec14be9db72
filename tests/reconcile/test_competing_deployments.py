"""AgentDeployments that replace each other's deployment: how often, and that each names the other; kstatus beside."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from agentex_testkit.api_server import Object, condition, ready, remembered, says, stalled
from agentex_testkit.builders import a_deployment, a_manifest, a_preview, a_secret, an_account, an_image
from agentex_testkit.harness import TEAM, Harness
from agentex_testkit.kstatus import verdict

HOUR = 3600.0
DEPLOYMENT = "AgentDeployment"
WAITING = says("Ready", "False", "ProgressingWithRetry")
UNKNOWN_WRITER = "Somebody else replaced or deleted the deployment; it is deployed again at "


def of_quote(name: str, policy: str, **spec: Any) -> Object:
    """A production deployment of the agent `quote` from the image of the AgentBuild `quote`."""
    return a_deployment(name, **{"buildRef": {"name": "quote"}, "manifest": {"inline": a_manifest("quote")},
                                 "onExternalChange": policy, **spec})


async def with_first(harness: Harness, policy: str = "Correct") -> None:
    harness.apply(an_image(), of_quote("one", policy))
    await harness.wait(DEPLOYMENT, "one")


def message(obj: Object | None) -> str:
    return str(condition(obj, "Ready").get("message", ""))


async def message_of_waiting(harness: Harness, name: str) -> str:
    found = await harness.wait(DEPLOYMENT, name, WAITING, within=HOUR)
    assert verdict(found) == "InProgress"
    return message(found)


async def message_of_competing(harness: Harness, name: str) -> str:
    """The message of one that waits to correct, or of one that serves after it corrected."""
    found = await harness.wait(DEPLOYMENT, name, lambda obj: "deployed to this account by" in message(obj), within=HOUR)
    assert verdict(found) == ("Current" if ready(found) else "InProgress")
    return message(found)


@pytest.mark.exhaustive
async def test_two_that_correct_replace_each_other_ever_more_rarely_and_name_each_other(harness: Harness) -> None:
    await with_first(harness)
    harness.apply(of_quote("two", "Correct"))

    of_one, of_two = await message_of_competing(harness, "one"), await message_of_competing(harness, "two")
    await harness.advance(3 * HOUR)

    assert "deployed to this account by AgentDeployment team/two too" in of_one
    assert "deployed to this account by AgentDeployment team/one too" in of_two
    for said in (of_one, of_two):
        assert said.endswith("Keep only one of them, or set spec.onExternalChange of one to Report.")
    made = [harness.creates(harness.owner(DEPLOYMENT, name)) for name in ("one", "two")]
    assert max(made) <= 9  # 60 s doubles seven times within three hours
    assert min(made) >= 6
    assert harness.engine is not None
    assert harness.engine.bugs == 0


async def test_while_one_of_two_waits_exactly_the_other_one_is_current(harness: Harness) -> None:
    await with_first(harness)
    harness.apply(of_quote("two", "Correct"))
    await message_of_waiting(harness, "one")
    two = await harness.wait(DEPLOYMENT, "two", ready)

    assert verdict(two) == "Current"


async def test_the_loop_ends_when_one_of_the_two_only_reports(harness: Harness) -> None:
    await with_first(harness)
    harness.apply(of_quote("two", "Correct"))
    await message_of_competing(harness, "two")

    harness.edit(DEPLOYMENT, "two", spec={"onExternalChange": "Report"})
    found = await harness.wait(DEPLOYMENT, "two", stalled("SupersededExternally"), within=HOUR)
    await harness.advance(HOUR)

    one = harness.get(DEPLOYMENT, "one")
    assert one is not None
    assert (verdict(one), verdict(found)) == ("Current", "Failed")
    assert "by AgentDeployment team/one too" in message(found)
    assert "to Correct" not in message(found)


async def test_one_that_corrects_names_one_that_only_reports(harness: Harness) -> None:
    await with_first(harness)
    harness.apply(of_quote("two", "Report"))

    said = await message_of_waiting(harness, "one")
    await harness.wait(DEPLOYMENT, "two", stalled("SupersededExternally"), within=HOUR)
    one = await harness.wait(DEPLOYMENT, "one")
    await harness.advance(HOUR)

    assert "by AgentDeployment team/two too" in said
    assert said.endswith("Keep only one of them, or set spec.onExternalChange here to Report.")
    assert verdict(one) == "Current"
    assert harness.creates(harness.owner(DEPLOYMENT, "one")) == 2


async def test_the_other_one_is_named_across_namespaces_and_spellings_of_the_endpoint(harness: Harness) -> None:
    await with_first(harness)
    there = "elsewhere"
    harness.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": there}})
    for obj in (a_secret(), an_account(f"{harness.simulator.url}/"), an_image(), of_quote("two", "Correct")):
        harness.cluster.create(obj, there)

    assert "by AgentDeployment elsewhere/two too" in await message_of_waiting(harness, "one")
    await harness.until(lambda: "by AgentDeployment team/one too" in message(
        harness.cluster.read(harness.kind(DEPLOYMENT), there, "two")), within=HOUR)


async def test_the_other_one_is_named_through_a_cluster_account(harness: Harness) -> None:
    await with_first(harness)
    harness.cluster.create(a_secret(), harness.settings.namespace)
    harness.apply(an_account(harness.simulator.url, "shared", "ClusterAgentexAccount"))
    harness.apply(an_image("second", agentName="quote"), of_quote(
        "two", "Correct", buildRef={"name": "second"}, accountRef={"kind": "ClusterAgentexAccount", "name": "shared"}))

    assert "by AgentDeployment team/two too" in await message_of_waiting(harness, "one")
    assert "by AgentDeployment team/one too" in await message_of_competing(harness, "two")


@pytest.mark.exhaustive
async def test_one_that_is_deleted_suspended_or_a_preview_or_of_another_agent_is_not_named(harness: Harness) -> None:
    await with_first(harness)
    harness.apply(of_quote("deleted", "Correct", deletionPolicy="Orphan"), of_quote("suspended", "Correct"))
    harness.apply(a_preview("preview", buildRef={"name": "quote"}, manifest={"inline": a_manifest("quote")}))
    harness.apply(an_image("other"), a_deployment("other", onExternalChange="Correct"))
    for name in ("preview", "other"):
        await harness.wait(DEPLOYMENT, name)
    await harness.until(lambda: all(harness.status(DEPLOYMENT, one).get("deploymentID") for one in
                                    ("deleted", "suspended")))
    harness.edit(DEPLOYMENT, "suspended", spec={"suspend": True})
    harness.delete(DEPLOYMENT, "deleted")
    await harness.advance(3 * HOUR)  # whatever they did before is over

    superseded = await harness.wait(DEPLOYMENT, "one")
    harness.simulator.actor("supersede", id=superseded["status"]["deploymentID"])
    await harness.until(lambda: not ready(harness.get(DEPLOYMENT, "one")), within=HOUR)
    await harness.wait(DEPLOYMENT, "one")
    harness.simulator.actor("supersede", id=harness.status(DEPLOYMENT, "one")["deploymentID"])

    assert (await message_of_waiting(harness, "one")).startswith(UNKNOWN_WRITER)


def has_created(harness: Harness, owner: str, before: int) -> bool:
    return harness.creates(owner) > before


async def test_a_writer_outside_of_this_cluster_is_answered_ever_more_rarely(harness: Harness) -> None:
    await with_first(harness)
    owner = harness.owner(DEPLOYMENT, "one")
    waits = []
    for number in range(1, 8):
        found = await harness.wait(DEPLOYMENT, "one", within=HOUR)
        began = harness.clock.monotonic()
        harness.simulator.actor("supersede", id=found["status"]["deploymentID"])
        assert (await message_of_waiting(harness, "one")).startswith(UNKNOWN_WRITER)
        await harness.until(partial(has_created, harness, owner, number), within=2 * HOUR)
        waits.append(harness.clock.monotonic() - began)

    assert waits[1:] == sorted(waits[1:])
    assert waits[-1] > 1800
    assert remembered(harness.status(DEPLOYMENT, "one"))["corrections"] == {"count": 7, "generation": 1}
    assert TEAM not in message(harness.get(DEPLOYMENT, "one"))
