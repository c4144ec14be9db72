"""Each error of the remote API, at each call: what is said meanwhile, and that the work goes on afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from agentex_testkit import samples
from agentex_testkit.api_server import Object, condition, gone, ready, says, stalled
from agentex_testkit.builders import (
    FAILING,
    STUCK,
    a_build,
    a_context,
    a_deployment,
    a_manifest,
    a_preview,
    a_secret,
    an_account,
    an_image,
)
from agentex_testkit.harness import Harness

POSTS = {"AgentBuild": "/v5/builds", "AgentDeployment": "/v5/agentex/deployments"}
Script = tuple[str, dict[str, Any]]

UNSENT: list[Script] = [  # nothing was committed
    ("throttle", {"retry_after": "20"}), ("outage", {}), ("outage", {"mode": "rst"}), ("html-502", {}),
    ("drop-before-commit", {"half": True}), ("status", {"status": 408}),
]
UNANSWERED: list[Script] = [  # committed, and the operator cannot know
    ("commit-then-drop-response", {}), ("commit-then-500", {}), ("truncated", {}), ("empty-body", {}),
    ("id", {"missing": True}), ("wrong-content-length", {}),
]
REFUSED: list[Script] = [("status", {"status": 400}), ("status", {"status": 413}), ("status", {"status": 422})]


def named(script: object) -> str:
    return "-".join([str(script[0]), *map(str, script[1].values())]) if isinstance(script, tuple) else str(script)


def no_bug(harness: Harness) -> bool:
    return harness.engine is not None and harness.engine.bugs == 0


def of_post(kind: str) -> dict[str, str]:
    return {"method": "POST", "path": POSTS[kind]}


def building(obj: Object | None) -> bool:
    return ((obj or {}).get("status") or {}).get("remoteStatus") == "running"


def a_second(kind: str) -> Object:
    """Another build of the agent of `an_image()`, or a deployment of that, so that the name of the agent is known."""
    if kind == "AgentBuild":
        return an_image("second", agentName="quote")
    return a_deployment("second", buildRef={"name": "quote"}, manifest={"inline": a_manifest("quote")})


# --- creates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "script"), [
    *samples.matrix(list(POSTS), UNSENT, every=2), *samples.matrix(list(POSTS), UNANSWERED, every=1)], ids=named)
async def test_a_create_without_an_answer_ends_in_exactly_one_object(
    harness: Harness, kind: str, script: Script
) -> None:
    name, parameters = script
    harness.simulator.fault(name, match=of_post(kind), **parameters)
    harness.apply(an_image(), a_deployment())

    await harness.wait(kind, "quote", within=1200)

    assert harness.creates(harness.owner(kind, "quote")) == 1
    assert no_bug(harness)


@pytest.mark.parametrize("kind", POSTS)
@pytest.mark.parametrize("script", REFUSED, ids=named)
async def test_a_create_that_is_refused_is_said_and_made_when_the_spec_changes(
    harness: Harness, kind: str, script: Script
) -> None:
    harness.apply(an_image())
    await harness.wait("AgentBuild", "quote")
    harness.simulator.fault(script[0], match=of_post(kind), forever=True, **script[1])
    harness.apply(a_second(kind))
    found = await harness.wait(kind, "second", stalled("RejectedByRemote"))
    assert str(script[1]["status"]) in condition(found, "Ready")["message"]
    harness.simulator.clear_faults()

    harness.edit(kind, "second", spec={"timeout": "20m"} if kind == "AgentBuild" else {"environment": "dev"})
    await harness.wait(kind, "second", within=1200)

    assert harness.creates(harness.owner(kind, "second")) == 1
    assert no_bug(harness)


@pytest.mark.parametrize("kind", POSTS)
@pytest.mark.parametrize("status", [401, 403])
async def test_a_create_that_may_not_be_is_said_and_made_when_it_may(
    harness: Harness, kind: str, status: int
) -> None:
    harness.apply(an_image())
    await harness.wait("AgentBuild", "quote")
    harness.simulator.fault("status", status=status, forever=True)
    harness.apply(a_second(kind))
    await harness.wait(kind, "second", says("Ready", "False", "AccessDenied"), within=1200)
    await harness.wait("AgentexAccount", "default", says("Ready", "False", "AccessDenied"), within=1200)
    assert harness.remotes(harness.owner(kind, "second")) == []
    harness.simulator.clear_faults()

    await harness.wait(kind, "second", within=1200)

    assert harness.creates(harness.owner(kind, "second")) == 1
    assert no_bug(harness)


async def test_a_pause_that_the_remote_asks_for_is_kept_by_all_and_said_by_the_account(harness: Harness) -> None:
    harness.simulator.fault("throttle", match=of_post("AgentBuild"), retry_after="100")
    harness.apply(an_image())
    await harness.settled()
    calls = len(harness.simulator.calls())

    await harness.advance(95)
    assert len(harness.simulator.calls()) == calls
    assert harness.status("AgentexAccount", "default")["throttled"] is True

    await harness.wait("AgentBuild", "quote")
    assert no_bug(harness)


# --- lists, reads, removals -----------------------------------------------------------------------------------------


TROUBLES: list[Script] = [
    ("throttle", {"retry_after": "5"}), ("outage", {"mode": "rst"}), ("html-502", {}),
    ("truncated", {}), ("status", {"status": 404}), ("redirect", {"location": "http://elsewhere.invalid/"}),
    ("unauthorized", {}),
]


@pytest.mark.parametrize(("kind", "script"), samples.matrix(list(POSTS), TROUBLES, every=2), ids=named)
async def test_lists_that_fail_leave_what_is_ready_and_creates_nothing_anew(
    harness: Harness, kind: str, script: Script
) -> None:
    harness.apply(an_image(), a_deployment())
    await harness.wait("AgentDeployment", "quote")
    harness.simulator.fault(script[0], match={"method": "GET", "path": POSTS[kind]}, count=3, **script[1])

    await harness.advance(600)
    await harness.wait(kind, "quote", within=1200)

    assert harness.creates(harness.owner(kind, "quote")) == 1
    assert no_bug(harness)


@pytest.mark.parametrize(("kind", "script"), samples.matrix(list(POSTS), TROUBLES[:4], every=2), ids=named)
async def test_a_get_that_fails_leaves_what_no_list_shows(harness: Harness, kind: str, script: Script) -> None:
    harness.apply(an_image(), a_deployment())
    await harness.wait("AgentDeployment", "quote")
    (remote,) = harness.remotes(harness.owner(kind, "quote"))
    harness.simulator.fault("hide", ids=[remote["id"]], forever=True)
    fault = harness.simulator.fault(script[0], match={"method": "GET", "id": remote["id"]}, count=3, **script[1])

    await harness.advance(900)

    assert ready(harness.get(kind, "quote"))
    assert next(one["fired"] for one in harness.simulator.faults() if one["id"] == fault) > 0
    assert harness.creates(harness.owner(kind, "quote")) == 1
    assert no_bug(harness)


@pytest.mark.parametrize("script", [*TROUBLES, ("teardown-failure", {})], ids=named)
async def test_a_delete_that_fails_is_sent_again_until_the_deployment_is_gone(
    harness: Harness, script: Script
) -> None:
    harness.apply(an_image(), a_deployment())
    await harness.wait("AgentDeployment", "quote")
    of = harness.owner("AgentDeployment", "quote")
    harness.simulator.fault(script[0], match={"method": "DELETE"}, count=2, **script[1])
    harness.delete("AgentDeployment", "quote")

    await harness.wait("AgentDeployment", "quote", gone, within=3600)

    assert harness.living(of) == []
    assert no_bug(harness)


@pytest.mark.parametrize("script", [*TROUBLES, ("cancel-ignored", {})], ids=named)
async def test_a_cancel_that_fails_is_sent_again_until_the_build_has_ended(harness: Harness, script: Script) -> None:
    harness.apply(a_context(dockerfile=STUCK), a_build())
    await harness.wait("AgentBuild", "quote", building)
    of = harness.owner("AgentBuild", "quote")
    harness.simulator.fault(script[0], match={"regex": "/cancel$"}, count=2, **script[1])
    harness.delete("AgentBuild", "quote")

    await harness.wait("AgentBuild", "quote", gone, within=3600)

    assert harness.living(of) == []
    assert no_bug(harness)


@pytest.mark.parametrize("script", [*TROUBLES[:4], ("status", {"status": 404})], ids=named)
async def test_a_log_that_cannot_be_read_keeps_nobody_from_hearing_that_the_build_failed(
    harness: Harness, script: Script
) -> None:
    harness.simulator.fault(script[0], match={"regex": "/logs$"}, count=2, **script[1])
    harness.apply(a_context(dockerfile=FAILING), a_build())

    await harness.wait("AgentBuild", "quote", stalled("BuildFailed"))
    await harness.until(lambda: "logTail" in harness.status("AgentBuild", "quote"), within=1200)

    assert no_bug(harness)


@pytest.mark.parametrize(("script", "reason"), [
    (("outage", {}), "RemoteUnavailable"), (("throttle", {"retry_after": "30"}), "Throttled"),
    (("status", {"status": 404}), "EndpointNotFound"), (("html-502", {}), "RemoteUnavailable"),
    (("status", {"status": 400}), None), (("truncated", {}), "RemoteUnavailable"),
], ids=named)
async def test_a_probe_that_fails_says_why_and_the_account_is_ready_later(
    bare: Harness, script: Script, reason: str | None
) -> None:
    bare.simulator.fault(script[0], match={"path": "/v5/builds"}, count=2, **script[1])
    bare.apply(a_secret(), an_account(bare.simulator.url), an_image())

    found = await bare.wait("AgentexAccount", "default", lambda obj: bool(condition(obj, "Ready")) and not ready(obj))
    assert reason in (None, condition(found, "Ready")["reason"])

    await bare.wait("AgentexAccount", "default", within=3600)
    await bare.wait("AgentBuild", "quote", within=3600)
    assert no_bug(bare)


async def test_a_word_that_nobody_knows_is_taken_for_running(harness: Harness) -> None:
    harness.simulator.fault("status-words", value="pondering", match={"method": "GET"}, forever=True)
    harness.apply(a_context(), a_build())

    await harness.wait("AgentBuild", "quote", says("Ready", "Unknown", "UnrecognizedExternalStatus"))
    harness.simulator.clear_faults()
    await harness.wait("AgentBuild", "quote")

    assert harness.creates(harness.owner("AgentBuild", "quote")) == 1


@pytest.mark.parametrize("correct", [False, True])
@pytest.mark.parametrize("actor", ["supersede", "delete-deployment"])
async def test_what_somebody_else_did_is_reported_or_corrected(harness: Harness, actor: str, correct: bool) -> None:
    harness.apply(an_image(), a_deployment(onExternalChange="Correct" if correct else "Report"))
    found = await harness.wait("AgentDeployment", "quote")
    harness.simulator.actor(actor, id=found["status"]["deploymentID"])

    if correct:
        await harness.until(lambda: harness.creates(harness.owner("AgentDeployment", "quote")) == 2, within=1200)
        await harness.wait("AgentDeployment", "quote")
    else:
        reason = "SupersededExternally" if actor == "supersede" else "DeletedExternally"
        await harness.wait("AgentDeployment", "quote", stalled(reason), within=1200)
    assert no_bug(harness)


async def test_a_preview_beside_production_leaves_it_alone(harness: Harness) -> None:
    preview = a_preview("pr", buildRef={"name": "quote"}, manifest={"inline": a_manifest("quote")})
    harness.apply(an_image(), a_deployment(), preview)
    await harness.wait("AgentDeployment", "quote")
    await harness.wait("AgentDeployment", "pr")

    alive = [len(harness.living(harness.owner("AgentDeployment", name))) for name in ("quote", "pr")]
    assert alive == [1, 1]
