"""What only a person can mend is Stalled, at once or after a grace, and recovers by itself; kstatus' verdict beside it.

A GitOps engine that waits for a resource ends its wait at Stalled, and takes the commit that mends the cause.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from agentex_operator.core import conditions
from agentex_operator.core.plan import Policy
from agentex_operator.kube.kinds import AGENT_BUILD, AGENT_DEPLOYMENT, SECRET
from agentex_operator.reconcile.work_queue import REQUEUE_SPREAD
from agentex_testkit.api_server import Object, condition, says
from agentex_testkit.builders import a_build, a_context, a_deployment, a_manifest, a_secret, an_account, an_image
from agentex_testkit.harness import Harness
from agentex_testkit.kstatus import verdict

GRACE = Policy().reference_grace.total_seconds()
LATEST = 1 + REQUEUE_SPREAD  # a look that is due comes so much later at most
LOOK = Policy().reference_resync.total_seconds()
BUILD, DEPLOYMENT = ("AgentBuild", "quote"), ("AgentDeployment", "quote")
Act = Callable[[Harness], object]


def account(harness: Harness, **spec: Any) -> Object:
    return an_account(harness.simulator.url, **spec)


def config_map(**data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "texts"}, "data": data}


FROM_A_MAP: dict[str, Any] = {"manifest": {"configMapKeyRef": {"name": "texts", "key": "manifest.yaml"}}}


@dataclass(frozen=True)
class Trouble:
    """Objects to apply to a namespace without an account; whose condition has the reason; what mends the trouble."""

    reason: str
    of: tuple[str, str]
    apply: Act
    mend: Act


def with_account(*objects: Object) -> Act:
    return lambda harness: harness.apply(a_secret(), account(harness), *objects)


def applied(*objects: Object) -> Act:
    return lambda harness: harness.apply(*objects)


def refuse_the_key(harness: Harness) -> None:
    harness.simulator.set_keys("acct-1", "another")
    harness.apply(a_secret(), account(harness), an_image())


MISSING: Mapping[str, Trouble] = {
    "no account": Trouble("AccountNotFound", BUILD, applied(an_image()), with_account()),
    "no Secret of the account": Trouble(
        "SecretNotFound", ("AgentexAccount", "default"), lambda harness: harness.apply(account(harness)),
        applied(a_secret())),
    "a build in an account without its Secret": Trouble(
        "AccountNotReady", BUILD, lambda harness: harness.apply(account(harness), an_image()), applied(a_secret())),
    "no ConfigMap of the context": Trouble(
        "ConfigMapNotFound", BUILD, with_account(a_build()), applied(a_context())),
    "no ConfigMap of the manifest": Trouble(
        "ConfigMapNotFound", DEPLOYMENT, with_account(an_image(), a_deployment(**FROM_A_MAP)),
        applied(config_map(**{"manifest.yaml": a_manifest()}))),
    "no AgentBuild": Trouble("BuildNotFound", DEPLOYMENT, with_account(a_deployment()), applied(an_image())),
}
BLOCKED: Mapping[str, Trouble] = {
    "a key that the remote refuses": Trouble(
        "AccessDenied", BUILD, refuse_the_key, lambda harness: harness.simulator.set_keys("acct-1", "key-1")),
    "a Secret without the key": Trouble(
        "KeyNotFound", ("AgentexAccount", "default"),
        lambda harness: harness.apply({**a_secret(), "stringData": {"other": "x"}}, account(harness)),
        applied(a_secret())),
    "a build in an account whose Secret lacks the key": Trouble(
        "AccountNotReady", BUILD,
        lambda harness: harness.apply({**a_secret(), "stringData": {"other": "x"}}, account(harness), an_image()),
        applied(a_secret())),
    "a ConfigMap without the key": Trouble(
        "KeyNotFound", DEPLOYMENT,
        with_account(an_image(), config_map(other="x"), a_deployment(**FROM_A_MAP)),
        applied(config_map(**{"manifest.yaml": a_manifest()}))),
}


def stalled(trouble: Trouble) -> Callable[[Object | None], bool]:
    return says("Stalled", "True", trouble.reason)


def kept(obj: Object) -> list[str]:
    """What the status contract and kstatus object to."""
    said = obj["status"].get("conditions", ())
    types = {one["type"] for one in said if one["status"] == "True"}
    both = ["Stalled and Reconciling"] if {conditions.STALLED, conditions.RECONCILING} <= types else []
    stale = [one["type"] for one in said if one["observedGeneration"] != obj["metadata"]["generation"]]
    return both + stale


@pytest.mark.parametrize("trouble", BLOCKED.values(), ids=BLOCKED)
async def test_what_a_person_must_mend_is_stalled_at_once_and_recovers_by_itself(
    bare: Harness, trouble: Trouble
) -> None:
    trouble.apply(bare)
    found = await bare.wait(*trouble.of, stalled(trouble), within=30)
    assert (verdict(found), kept(found), found["status"]["phase"]) == ("Failed", [], "Failed")

    trouble.mend(bare)

    found = await bare.wait(*trouble.of, within=LOOK + 60)
    assert (verdict(found), kept(found)) == ("Current", [])


@pytest.mark.parametrize("trouble", MISSING.values(), ids=MISSING)
async def test_what_is_missing_is_reconciling_for_a_grace_then_stalled_and_recovers_by_itself(
    bare: Harness, trouble: Trouble
) -> None:
    trouble.apply(bare)
    found = await bare.wait(*trouble.of, says("Reconciling", "True", trouble.reason), within=30)
    assert (verdict(found), kept(found)) == ("InProgress", [])
    await bare.advance(GRACE - LOOK / 2)
    assert says("Reconciling", "True", trouble.reason)(bare.get(*trouble.of))

    found = await bare.wait(*trouble.of, stalled(trouble), within=LOOK)
    assert (verdict(found), kept(found)) == ("Failed", [])

    trouble.mend(bare)
    found = await bare.wait(*trouble.of, within=LOOK + 60)
    assert (verdict(found), kept(found)) == ("Current", [])


async def test_the_end_of_the_grace_is_one_write_and_no_other_follows(bare: Harness) -> None:
    MISSING["no account"].apply(bare)
    await bare.wait(*BUILD, says("Reconciling", "True", "AccountNotFound"))
    before = len(bare.cluster.writes(AGENT_BUILD, "quote"))
    await bare.wait(*BUILD, says("Stalled", "True", "AccountNotFound"))
    await bare.advance(3600)

    assert len(bare.cluster.writes(AGENT_BUILD, "quote")) == before + 1


async def test_another_spec_that_misses_something_too_has_a_grace_of_its_own(bare: Harness) -> None:
    MISSING["no account"].apply(bare)
    await bare.wait(*BUILD, says("Stalled", "True", "AccountNotFound"))

    bare.edit(*BUILD, spec={"accountRef": {"name": "another"}})

    await bare.wait(*BUILD, says("Reconciling", "True", "AccountNotFound"), within=5)
    await bare.wait(*BUILD, says("Stalled", "True", "AccountNotFound"), within=GRACE * LATEST)


async def test_a_restart_goes_on_counting_the_grace(make_harness: Callable[..., Harness]) -> None:
    harness = make_harness()
    async with harness.running():
        harness.apply(an_image())
        await harness.wait(*BUILD, says("Reconciling", "True", "AccountNotFound"))
        await harness.advance(GRACE / 2)
    async with harness.running():
        await harness.wait(*BUILD, says("Stalled", "True", "AccountNotFound"), within=GRACE / 2 * LATEST)


async def test_the_grace_is_a_setting(make_harness: Callable[..., Harness]) -> None:
    harness = make_harness(reference_grace=timedelta(seconds=10))
    async with harness.running():
        harness.apply(an_image())
        await harness.wait(*BUILD, says("Stalled", "True", "AccountNotFound"), within=12)


async def test_a_deployment_is_stalled_with_the_build_it_waits_for(bare: Harness) -> None:
    with_account(a_build(), a_deployment())(bare)
    await bare.wait(*DEPLOYMENT, says("Reconciling", "True", "BuildNotReady"), within=30)

    await bare.wait(*BUILD, says("Stalled", "True", "ConfigMapNotFound"))
    found = await bare.wait(*DEPLOYMENT, says("Stalled", "True", "BuildNotReady"), within=5)
    assert "It is stalled: There is no ConfigMap" in condition(found, "Ready")["message"]

    bare.apply(a_context())
    await bare.wait(*DEPLOYMENT)


async def test_a_refused_create_is_tried_again_at_once_after_an_account_was_away(bare: Harness) -> None:
    """The reason of the account's trouble is not repeated from the status when the account is back."""
    with_account()(bare)
    await bare.wait("AgentexAccount", "default")
    bare.simulator.fault("status", match={"method": "POST", "path": "/v5/builds"}, status=413)
    bare.apply(an_image())
    await bare.wait(*BUILD, says("Stalled", "True", "RejectedByRemote"))
    bare.cluster.remove(SECRET, "team", "agentex")
    bare.take_away("AgentexAccount", "default")
    await bare.wait(*BUILD, says("Stalled", "True", "AccountNotFound"))

    with_account()(bare)

    await bare.wait(*BUILD, within=30)


async def test_a_suspended_resource_does_not_keep_the_trouble_of_its_account(bare: Harness) -> None:
    bare.apply(an_image())
    await bare.wait(*BUILD, says("Stalled", "True", "AccountNotFound"))

    bare.edit(*BUILD, spec={"suspend": True})

    await bare.wait(*BUILD, says("Ready", "True", "Suspended"), within=5)


async def test_a_preview_that_is_past_when_it_is_applied_is_current_and_costs_nothing(bare: Harness) -> None:
    with_account(a_deployment(preview={"expiresAt": "2020-01-01T00:00:00Z"}))(bare)

    found = await bare.wait(*DEPLOYMENT, says("Ready", "True", "Expired"))
    writes, calls = len(bare.cluster.writes(AGENT_DEPLOYMENT, "quote")), len(bare.simulator.calls())
    await bare.advance(3600)

    assert (verdict(found), condition(found, "Expired")["status"]) == ("Current", "True")
    assert len(bare.cluster.writes(AGENT_DEPLOYMENT, "quote")) == writes
    assert [call["method"] for call in bare.simulator.calls()[calls:] if call["method"] == "POST"] == []
