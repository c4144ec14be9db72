"""Next steps of conditions, place by place: each names the object and the field to edit, and the edit is possible.

`agentex_testkit.next_steps` judges every message: fields exist and can be changed, objects are within reach of the
resource, sentences are whole. The table says what is particular to a place.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from tests.reconcile.conftest import MakeHarness
from tests.sources.servers import Server, serving

from agentex_operator.kube.kinds import AGENT_BUILD, AGENTEX_ACCOUNT, SECRET
from agentex_testkit import next_steps
from agentex_testkit.api_server import Object, condition, says
from agentex_testkit.builders import (
    ENVIRONMENTS,
    FAILING,
    a_build,
    a_context,
    a_deployment,
    a_manifest,
    a_secret,
    an_account,
    an_image,
    from_build,
)
from agentex_testkit.harness import TEAM, Harness

BUILD, DEPLOYMENT, ACCOUNT = ("AgentBuild", "quote"), ("AgentDeployment", "quote"), ("AgentexAccount", "default")
SHARED = ("ClusterAgentexAccount", "shared")
DIGEST = f"sha256:{hashlib.sha256(b'content').hexdigest()}"
SECRETS = "operators"  # the namespace of the operator
Objects = Callable[[Harness, Server], list[Object]]


@dataclass(frozen=True)
class Place:
    """Where a condition appears: the objects, whose condition has the reason, and what its message must say."""

    of: tuple[str, str]
    reason: str
    objects: Objects
    says: tuple[str, ...]
    with_account: bool = True


def given(*objects: Object) -> Objects:
    return lambda _harness, _server: list(objects)


def secret(name: str, **values: str) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def in_namespace(namespace: str, obj: Object) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}


def texts(**data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "texts"}, "data": data}


def over_http(path: str, *others: Object, **more: Any) -> Objects:
    """An AgentBuild whose archive is at that path of the server."""
    return lambda _harness, server: [
        *others, a_build(source={"http": {"url": f"{server.url}{path}?sig=canary", "digest": DIGEST, **more}})]


def at_the_simulator(*others: Object, of: tuple[str, str] = ACCOUNT, **spec: Any) -> Objects:
    return lambda harness, _server: [*others, an_account(harness.simulator.url, of[1], of[0], **spec)]


LOGIN = secret("login", bearerToken="t")
CREDENTIALS = {"secretRef": {"name": "login"}}
FROM_TEXTS: Mapping[str, Any] = {"manifest": {"configMapKeyRef": {"name": "texts", "key": "m"}},
                                 "environments": {"configMapKeyRef": {"name": "texts", "key": "e"}}}

ACCOUNTS: Mapping[str, Place] = {
    "no account, defaulted": Place(BUILD, "AccountNotFound", given(an_image()), (
        "Create an AgentexAccount named 'default'", "create this resource anew with spec.accountRef"), False),
    "no account, named": Place(BUILD, "AccountNotFound", given(an_image(accountRef={"name": "ours"})), (
        "AgentexAccount 'ours'", "anew with another spec.accountRef"), False),
    "no cluster account": Place(
        DEPLOYMENT, "AccountNotFound", given(an_image(), a_deployment(accountRef={
            "kind": "ClusterAgentexAccount", "name": "shared"})), ("ClusterAgentexAccount 'shared'",), False),
    "a cluster account for others": Place(
        BUILD, "AccountNotAllowed", lambda harness, _server: [
            in_namespace(SECRETS, a_secret()),
            an_account(harness.simulator.url, "shared", SHARED[0], namespaceSelector={"matchLabels": {"a": "b"}}),
            an_image(accountRef={"kind": SHARED[0], "name": "shared"})],
        ("ClusterAgentexAccount 'shared'", "anew with another spec.accountRef"), False),
    "no Secret of an account": Place(ACCOUNT, "SecretNotFound", at_the_simulator(), (
        f"Secret 'agentex' in namespace '{TEAM}'", "spec.apiKeySecretRef"), False),
    "no Secret of a cluster account": Place(SHARED, "SecretNotFound", at_the_simulator(of=SHARED), (
        f"Secret 'agentex' in namespace '{SECRETS}'",), False),
    "no key of an account": Place(ACCOUNT, "KeyNotFound", at_the_simulator(secret("agentex", other="x")), (
        f"Secret 'agentex' in namespace '{TEAM}' has no key 'api-key'",), False),
    "a key that is refused": Place(ACCOUNT, "AccessDenied", at_the_simulator(a_secret(key="wrong")), (
        f"key 'api-key' of Secret 'agentex' in namespace '{TEAM}'",), False),
    "a build in an account whose key is refused": Place(
        BUILD, "AccessDenied", lambda harness, server: [
            *at_the_simulator(a_secret(key="wrong"))(harness, server), an_image()],
        ("AgentexAccount 'default' is not ready: ", f"Secret 'agentex' in namespace '{TEAM}'"), False),
    "an endpoint that is not found": Place(
        ACCOUNT, "EndpointNotFound", lambda harness, _server: [
            a_secret(), an_account(f"{harness.simulator.url}/elsewhere")],
        ("spec.endpoint", "spec.accountID", "create another account"), False),
}
SOURCES: Mapping[str, Place] = {
    "no ConfigMap": Place(BUILD, "ConfigMapNotFound", given(a_build()), ("spec.source.configMapKeyRef.name",)),
    "no key in the ConfigMap": Place(BUILD, "KeyNotFound", given(
        {**a_context(), "binaryData": {}}, a_build()), ("ConfigMap 'quote'", "spec.source.configMapKeyRef.key")),
    "no Secret": Place(BUILD, "SecretNotFound", given(
        a_build(source={"secretKeyRef": {"name": "packed", "key": "c"}})), ("spec.source.secretKeyRef.name",)),
    "no key in the Secret": Place(BUILD, "KeyNotFound", given(secret("packed", other="x"), a_build(
        source={"secretKeyRef": {"name": "packed", "key": "c"}})), ("Secret 'packed'", "spec.source.secretKeyRef.key")),
    "401 without a Secret": Place(BUILD, "SourceUnauthorized", over_http("/401"), (
        "Name a Secret with credentials in spec.source.http.secretRef.",)),
    "403 with a Secret": Place(BUILD, "SourceUnauthorized", over_http("/403", LOGIN, **CREDENTIALS), (
        "Correct the Secret 'login', which spec.source.http.secretRef names.",)),
    "401 behind a redirect to another server": Place(
        BUILD, "SourceUnauthorized", over_http("/elsewhere/401", LOGIN, **CREDENTIALS), (
            "Secret 'login' are sent to the first server only", "It was redirected: http://", "/401.")),
    "no Secret of the address": Place(BUILD, "SecretNotFound", over_http("/401", **CREDENTIALS), (
        "Secret 'login'", "spec.source.http.secretRef.name")),
    "an odd Secret of the address": Place(BUILD, "SecretInvalid", over_http(
        "/401", secret("login", other="x"), **CREDENTIALS), ("Secret 'login'", "spec.source.http.secretRef")),
    "two credentials in the Secret of the address": Place(BUILD, "SecretInvalid", over_http(
        "/401", secret("login", bearerToken="t", username="u"), **CREDENTIALS), (
            "Secret 'login' has bearerToken beside username", "Remove bearerToken, or remove username")),
    "404 behind two redirects": Place(BUILD, "SourceNotFound", over_http("/to/to/404"), (
        "It was redirected: http://", "/to/404 to http://", "/404.")),
    "a redirect to an address of the node": Place(BUILD, "InvalidURL", over_http("/to/inside"), (
        "It was redirected: http://", "https://169.254.169.254/latest.")),
    "418": Place(BUILD, "SourceRejected", over_http("/418"), ("Correct spec.source.http.url.",)),
    "another agent in the archive": Place(BUILD, "InvalidManifest", given(
        a_context(), a_build(agentName="other")), ("correct agent.name, or use an AgentBuild of the agent 'quote'",)),
    "a build that fails": Place(BUILD, "BuildFailed", given(a_context(dockerfile=FAILING), a_build()), (
        ". Change the inputs, or set the annotation agentex.scale.com/rebuild-requested-at to a new value",)),
}
DEPLOYMENTS: Mapping[str, Place] = {
    "no AgentBuild": Place(DEPLOYMENT, "BuildNotFound", given(a_deployment()), ("correct spec.buildRef",)),
    "no build id": Place(DEPLOYMENT, "BuildNotFound", given(a_deployment(buildRef=None, buildID="nobody")), (
        "Correct spec.buildID.",)),
    "no ConfigMap of the manifest": Place(DEPLOYMENT, "ConfigMapNotFound", given(an_image(), a_deployment(
        manifest=FROM_TEXTS["manifest"])), ("ConfigMap 'texts'", "spec.manifest.configMapKeyRef.name")),
    "no key of the environments": Place(DEPLOYMENT, "KeyNotFound", given(
        an_image(), texts(m=a_manifest()), a_deployment(**FROM_TEXTS)), (
            "key 'e'", "spec.environments.configMapKeyRef.key")),
    "a binary manifest": Place(DEPLOYMENT, "InvalidManifest", given(an_image(), {
        **texts(e=ENVIRONMENTS), "binaryData": {"m": base64.b64encode(b"\xff").decode()}}, a_deployment(
            **FROM_TEXTS)), (
            "Key 'm' of ConfigMap 'texts'", "Put it under data")),
    "a bad inline manifest": Place(DEPLOYMENT, "InvalidManifest", given(an_image(), a_deployment(
        manifest={"inline": "agent: {}"})), ("The manifest is in spec.manifest.inline.",)),
    "a bad manifest in a ConfigMap": Place(DEPLOYMENT, "InvalidManifest", given(
        an_image(), texts(m=a_manifest("other"), e=ENVIRONMENTS), a_deployment(**FROM_TEXTS)), (
            "agent 'other'", "The manifest is under key 'm' of ConfigMap 'texts'.")),
    "bad environments in a ConfigMap": Place(DEPLOYMENT, "InvalidEnvironments", given(
        an_image(), texts(m=a_manifest(), e="environments: {}"), a_deployment(**FROM_TEXTS)), (
            "The environments are under key 'e' of ConfigMap 'texts'.",)),
    "an environment that is not inline": Place(DEPLOYMENT, "InvalidEnvironments", given(an_image(), a_deployment(
        environment="prod")), ("Correct spec.environment.", "The environments are in spec.environments.inline.")),
    "a manifest of an image": Place(DEPLOYMENT, "ManifestNotFound", given(an_image(), a_deployment(
        manifest={"fromBuild": True})), (
            "The manifest in the source of AgentBuild 'quote' cannot be read", "Set spec.manifest.inline")),
    "a rollout that fails": Place(DEPLOYMENT, "DeploymentFailed", given(an_image(), a_deployment(
        manifest={"inline": a_manifest(description="simulate: unhealthy")})), (". Correct the manifest",)),
    "a build that is stalled": Place(DEPLOYMENT, "BuildNotReady", over_http("/418", a_deployment()), (
        "AgentBuild 'quote' has no image yet. It is stalled: http",)),
}
PLACES = {**ACCOUNTS, **SOURCES, **DEPLOYMENTS}


async def answer(request: web.Request) -> web.StreamResponse:
    """`/401`: that status. `/to/X`: a redirect to X. `/elsewhere/X`: a redirect to X of another origin."""
    words = request.path.split("/")[1:]
    if words[0] == "to" and words[1] == "inside":
        return web.Response(status=302, headers={"Location": "https://169.254.169.254/latest?token=canary"})
    if words[0] == "to":
        return web.Response(status=302, headers={"Location": f"/{'/'.join(words[1:])}?token=canary"})
    if words[0] == "elsewhere":
        there = f"http://user:canary@localhost:{request.url.port}"
        return web.Response(status=302, headers={"Location": f"http://localhost:{request.url.port}/{words[1]}?canary"},
                            text=there)
    return web.Response(status=int(words[0]))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(answer) as found:
        yield found


def everything(harness: Harness) -> list[Object]:
    return [obj for kind in harness.cluster.store.served for obj in harness.cluster.store.list(kind, None)]


def message(obj: Object) -> str:
    return str(condition(obj, "Ready")["message"])


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
async def test_a_next_step_can_be_taken_where_it_appears(
    make_harness: MakeHarness, server: Server, place: Place
) -> None:
    hosts = (server.host, f"localhost:{server.port}")
    harness = make_harness(allowed_source_hosts=hosts, namespace=SECRETS)
    async with harness.running():
        if place.with_account:
            await harness.with_account()
        harness.apply(*place.objects(harness, server))
        found = await harness.wait(*place.of, lambda obj: condition(obj, "Ready").get("reason") == place.reason, 3600)

    assert [part for part in place.says if part not in message(found)] == []
    assert next_steps.faults(found, everything(harness)) == []
    assert "canary" not in str(found["status"])


# --- in a namespace that is being deleted -----------------------------------------------------------------------------


GONE = ((), (AGENT_BUILD,), (AGENT_BUILD, AGENTEX_ACCOUNT), (SECRET, AGENTEX_ACCOUNT))


@pytest.mark.parametrize("gone", GONE, ids=lambda kinds: " and ".join(kind.kind for kind in kinds) or "nothing")
async def test_nothing_is_to_be_created_for_a_resource_that_is_being_deleted(
    make_harness: MakeHarness, gone: tuple[Any, ...]
) -> None:
    harness = make_harness()
    async with harness.running():
        await harness.with_account()
        harness.apply(a_context(), a_build(), from_build())
        await harness.wait(*DEPLOYMENT)
        harness.simulator.fault("status", match={"method": "DELETE"}, forever=True, status=500)
        harness.delete(*DEPLOYMENT)
        await harness.until(lambda: says("Ready", "False")(harness.get(*DEPLOYMENT)))
    for kind in gone:
        name = {AGENT_BUILD: "quote", AGENTEX_ACCOUNT: "default", SECRET: "agentex"}[kind]
        left = harness.get(kind.kind, name)
        assert left is not None
        harness.edit(kind.kind, name, metadata={"finalizers": None})
        if harness.get(kind.kind, name) is not None:
            harness.delete(kind.kind, name)
    async with harness.running():  # after a restart: what was in memory is gone
        await harness.advance(120)
        found = harness.get(*DEPLOYMENT)
        harness.simulator.clear_faults()

    assert found is not None
    assert found["metadata"]["deletionTimestamp"]
    assert next_steps.faults(found, everything(harness)) == []
