"""Requests by annotation: a waiter compares each one's value with a status field of its own."""

from __future__ import annotations

from itertools import combinations, permutations

import pytest

from agentex_operator.api.metadata import (
    EXTEND_REQUESTED_AT,
    FLUX_RECONCILE,
    REBUILD_REQUESTED_AT,
    RECONCILE_REQUESTED_AT,
)
from agentex_testkit.api_server import Object
from agentex_testkit.builders import a_preview, an_image
from agentex_testkit.harness import Harness

ACCOUNT, BUILD, PREVIEW = ("AgentexAccount", "default"), ("AgentBuild", "quote"), ("AgentDeployment", "quote")
HANDLED_IN = {
    RECONCILE_REQUESTED_AT: "lastHandledReconcileRequestedAt",
    FLUX_RECONCILE: "lastHandledReconcileAt",
    REBUILD_REQUESTED_AT: "lastHandledRebuildRequestedAt",
    EXTEND_REQUESTED_AT: "lastHandledExtendRequestedAt",
}
OF_EVERY_KIND = (RECONCILE_REQUESTED_AT, FLUX_RECONCILE)
REQUESTS = {ACCOUNT: OF_EVERY_KIND, BUILD: (*OF_EVERY_KIND, REBUILD_REQUESTED_AT),
            PREVIEW: (*OF_EVERY_KIND, EXTEND_REQUESTED_AT)}
AT_ONCE = [(of, pair) for of, known in REQUESTS.items() for pair in combinations(known, 2)]
IN_TURN = [(of, pair) for of, known in REQUESTS.items() for pair in permutations(known, 2)]


@pytest.fixture
async def resources(harness: Harness) -> Harness:
    """An account, a build and a preview of it, all Ready."""
    harness.apply(an_image(), a_preview())
    await harness.wait(*PREVIEW)
    return harness


def request(harness: Harness, of: tuple[str, str], *annotations: str, value: str = "") -> None:
    """Set these annotations in one write; the value says which one it is."""
    harness.edit(*of, metadata={"annotations": {one: f"{value}{one}" for one in annotations}})


def handled(harness: Harness, of: tuple[str, str], annotation: str, value: str = "") -> bool:
    status: Object = harness.status(*of)
    return status.get(HANDLED_IN[annotation]) == f"{value}{annotation}"


@pytest.mark.parametrize(("of", "pair"), AT_ONCE)
async def test_two_requests_at_once_are_both_acknowledged(
        resources: Harness, of: tuple[str, str], pair: tuple[str, str]) -> None:
    request(resources, of, *pair)

    await resources.until(lambda: all(handled(resources, of, one) for one in pair))


@pytest.mark.parametrize(("of", "pair"), IN_TURN)
async def test_a_request_beside_one_that_is_handled_is_acknowledged_and_leaves_that_one(
        resources: Harness, of: tuple[str, str], pair: tuple[str, str]) -> None:
    first, second = pair
    request(resources, of, first)
    await resources.until(lambda: handled(resources, of, first))
    assert not handled(resources, of, second)

    request(resources, of, second)

    await resources.until(lambda: handled(resources, of, second))
    assert handled(resources, of, first)


@pytest.mark.parametrize(("of", "pair"), IN_TURN)
async def test_a_request_that_follows_before_the_first_is_handled_is_acknowledged_too(
        resources: Harness, of: tuple[str, str], pair: tuple[str, str]) -> None:
    for one in pair:
        request(resources, of, one)

    await resources.until(lambda: all(handled(resources, of, one) for one in pair))


@pytest.mark.parametrize(("of", "annotation"), [(of, one) for of, known in REQUESTS.items() for one in known])
async def test_another_value_of_a_request_is_acknowledged_again(
        resources: Harness, of: tuple[str, str], annotation: str) -> None:
    for value in ("first ", "second "):
        request(resources, of, annotation, value=value)
        await resources.until(lambda value=value: handled(resources, of, annotation, value))  # type: ignore[misc]
