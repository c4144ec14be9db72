"""What a resource says of a failed call: which account made it, and no more of the Secret than its reader may know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.reconcile.conftest import MakeHarness

from agentex_testkit import next_steps
from agentex_testkit.api_server import Object, condition
from agentex_testkit.builders import a_build, a_context, a_deployment, an_account, an_image
from agentex_testkit.harness import Harness

OPERATORS = "operators"  # the namespace of the operator
OWN, SHARED = "AgentexAccount 'default'", "ClusterAgentexAccount 'shared'"
OF_CLUSTER: dict[str, Any] = {"accountRef": {"kind": "ClusterAgentexAccount", "name": "shared"}}
REFUSALS = {"401": 401, "403": 403}
TROUBLES = {"429": 429, "500": 500, "502": 502}
KEY = "key 'api-key' of Secret 'agentex'"
RESOURCES: dict[str, tuple[tuple[str, str], Callable[..., list[Object]]]] = {
    "an image": (("AgentBuild", "quote"), lambda **spec: [an_image(**spec)]),
    "a build": (("AgentBuild", "quote"), lambda **spec: [a_context(), a_build(**spec)]),
    "a deployment": (("AgentDeployment", "quote"), lambda **spec: [an_image(**spec), a_deployment(**spec)]),
}


def secret(**data: str) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "agentex", "namespace": OPERATORS},
            "stringData": data}


def shared_account(harness: Harness) -> Object:
    return an_account(harness.simulator.url, "shared", "ClusterAgentexAccount")


async def told(harness: Harness, of: tuple[str, str], words: str) -> Object:
    return await harness.wait(*of, lambda obj: words in condition(obj, "Ready").get("message", ""), 3600)



@pytest.mark.parametrize("status", (REFUSALS | TROUBLES).values(), ids=REFUSALS | TROUBLES)
@pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES)
async def test_a_resource_names_the_account_whose_create_failed(
    make_harness: MakeHarness, resource: tuple[tuple[str, str], Callable[..., list[Object]]], status: int
) -> None:
    (of, objects), harness = resource, make_harness()
    async with harness.running():
        await harness.with_account()
        if of[0] == "AgentDeployment":
            harness.apply(an_image())
            await harness.wait("AgentBuild", "quote")
        harness.simulator.fault("status", match={"method": "POST"}, forever=True, status=status)
        harness.apply(*objects())
        found = await told(harness, of, OWN)

    message = condition(found, "Ready")["message"]
    assert (KEY in message) == (status in REFUSALS.values())
    assert next_steps.faults(found, [harness.get("AgentexAccount", "default") or {}]) == []


@pytest.mark.parametrize("status", REFUSALS.values(), ids=REFUSALS)
async def test_a_refused_key_of_a_cluster_account_is_named_by_the_account_alone(
    make_harness: MakeHarness, status: int
) -> None:
    harness = make_harness(namespace=OPERATORS)
    async with harness.running():
        harness.apply(secret(**{"api-key": "key-1"}), shared_account(harness))
        await harness.wait("ClusterAgentexAccount", "shared")
        harness.simulator.fault("status", match={"method": "POST"}, forever=True, status=status)
        harness.apply(an_image(**OF_CLUSTER))
        found = await told(harness, ("AgentBuild", "quote"), SHARED)

    assert hidden_words(found) == []
    assert "ask an administrator" in condition(found, "Ready")["message"].lower()


BROKEN: dict[str, list[Object]] = {
    "no Secret": [], "no key": [secret(another="canary")], "a wrong key": [secret(**{"api-key": "wrong"})],
    "a key of two lines": [secret(**{"api-key": "one\ntwo"})],
    "certificates that are none": [secret(**{"api-key": "key-1", "ca.crt": "none"})],
    "a token of a service account": [{**secret(**{"api-key": "key-1"}), "type": "kubernetes.io/service-account-token"}],
}


@pytest.mark.parametrize("objects", BROKEN.values(), ids=BROKEN)
async def test_a_tenant_is_not_told_what_is_in_the_operators_namespace(
    make_harness: MakeHarness, objects: list[Object]
) -> None:
    harness = make_harness(namespace=OPERATORS)
    async with harness.running():
        harness.apply(*objects, shared_account(harness), an_image(**OF_CLUSTER))
        found = await told(harness, ("AgentBuild", "quote"), SHARED)
        await harness.advance(600)
        later = harness.get("AgentBuild", "quote")

    assert hidden_words(found, later) == []
    assert next_steps.faults(found, []) == []


@pytest.mark.parametrize("objects", BROKEN.values(), ids=BROKEN)
async def test_a_deletion_does_not_tell_a_tenant_of_the_operators_namespace(
    make_harness: MakeHarness, objects: list[Object]
) -> None:
    harness = make_harness(namespace=OPERATORS)
    async with harness.running():
        harness.apply(secret(**{"api-key": "key-1"}), shared_account(harness), an_image(**OF_CLUSTER),
                      a_deployment(**OF_CLUSTER))
        await harness.wait("AgentDeployment", "quote")
    harness.cluster.remove(harness.kind("Secret"), OPERATORS, "agentex")
    async with harness.running():
        for obj in objects:
            harness.cluster.create(obj)
        harness.delete("AgentDeployment", "quote")
        found = await told(harness, ("AgentDeployment", "quote"), SHARED)

    assert hidden_words(found) == []


def hidden_words(*objects: Any) -> list[str]:
    """The words of the operator's namespace that are in a condition."""
    messages = str([(obj or {}).get("status", {}).get("conditions") for obj in objects])
    return [word for word in ("Secret 'agentex'", "'api-key'", "another", OPERATORS, "canary") if word in messages]
