"""A create whose answer was lost: how long its account is listed often because something may still come of it."""

from __future__ import annotations

import pytest

from agentex_operator.core.plan import Policy
from agentex_testkit.api_server import Object, remembered, says
from agentex_testkit.builders import a_build, a_context, a_deployment, a_preview, an_image
from agentex_testkit.harness import Harness

LISTS = {"AgentBuild": "/v5/builds", "AgentDeployment": "/v5/agentex/deployments"}
WISHES: dict[str, Object] = {
    "AgentBuild": an_image(), "AgentDeployment": a_deployment(), "a preview": a_preview(ttl="72h")}
LIVES = pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
LONGEST_LIFE = Policy().longest_life.total_seconds()
HOURS = 2 * 3600.0
MOST = HOURS / Policy().reference_resync.total_seconds() + 10  # what a deployment that serves is listed in that time


def lose_the_answer(harness: Harness, kind: str) -> None:
    """The next create of this kind gets no answer, and takes no effect."""
    harness.simulator.fault("drop-before-commit", match={"method": "POST", "path": LISTS[kind]}, half=True)


def is_lost(harness: Harness, kind: str) -> bool:
    """Whether the status says that the answer to a create was lost."""
    return "answerLostAt" in remembered(harness.status(kind, "quote")).get("pendingCreate", {})


def lists(harness: Harness, kind: str) -> int:
    return sum(call["method"] == "GET" and call["path"] == LISTS[kind] for call in harness.simulator.calls())


async def lists_in_hours(harness: Harness, kind: str) -> int:
    """How often the account is listed for resources of this kind in two hours of the clock."""
    before = lists(harness, kind)
    await harness.advance(HOURS)
    return lists(harness, kind) - before


@LIVES
async def test_an_account_is_not_listed_often_for_ever_after_an_answer_was_lost(harness: Harness, wish: Object) -> None:
    kind = wish["kind"]
    lose_the_answer(harness, kind)
    harness.apply(an_image(), wish)
    await harness.wait(kind, "quote")
    assert "unansweredCreateAt" in remembered(harness.status(kind, "quote"))

    await harness.advance(LONGEST_LIFE)

    assert "unansweredCreateAt" not in remembered(harness.status(kind, "quote"))
    assert await lists_in_hours(harness, kind) <= MOST
    assert harness.creates(harness.owner(kind, "quote")) == 1


@LIVES
async def test_the_unanswered_create_is_remembered_while_it_may_take_effect(harness: Harness, wish: Object) -> None:
    kind = wish["kind"]
    lose_the_answer(harness, kind)
    harness.apply(an_image(), wish)
    found = await harness.wait(kind, "quote")
    since = remembered(found["status"])["unansweredCreateAt"]

    await harness.advance(LONGEST_LIFE - 120)

    assert remembered(harness.status(kind, "quote")).get("unansweredCreateAt") == since


@LIVES
async def test_an_account_is_not_listed_often_for_a_create_that_is_never_repeated(
        harness: Harness, wish: Object) -> None:
    kind = wish["kind"]
    lose_the_answer(harness, kind)
    harness.apply(an_image(), wish)
    await harness.until(lambda: is_lost(harness, kind))
    harness.edit(kind, "quote", spec={"suspend": True})
    await harness.wait(kind, "quote", says("Suspended", "True"))

    await harness.advance(LONGEST_LIFE)

    assert await lists_in_hours(harness, kind) <= MOST
    harness.edit(kind, "quote", spec={"suspend": False})
    await harness.wait(kind, "quote")
    assert harness.creates(harness.owner(kind, "quote")) == 1


async def test_an_account_is_not_listed_often_for_a_create_whose_source_is_gone(harness: Harness) -> None:
    harness.apply(a_context(), a_build())
    lose_the_answer(harness, "AgentBuild")
    await harness.until(lambda: is_lost(harness, "AgentBuild"))
    harness.delete("ConfigMap", "quote")

    await harness.advance(LONGEST_LIFE)

    assert await lists_in_hours(harness, "AgentBuild") <= MOST
    harness.apply(a_context())
    await harness.wait("AgentBuild", "quote")
    assert harness.creates(harness.owner("AgentBuild", "quote")) == 1
