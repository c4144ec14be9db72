"""Two ways to steal a credential, and their kinds: a tenant names an endpoint or a Secret that is not for this use."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from tests.reconcile.conftest import MakeHarness
from tests.sources.archives import a_tar_gz
from tests.sources.servers import Server, serving

from agentex_operator.kube.kinds import SECRET
from agentex_testkit.api_server import Object, condition, says
from agentex_testkit.builders import DOCKERFILE, KEY, a_build, a_manifest, a_secret, an_account, an_image
from agentex_testkit.harness import TEAM, Harness

CANARY = "canary-of-the-cluster"
GOOD = a_tar_gz({"manifest.yaml": a_manifest(), "Dockerfile": DOCKERFILE, "project/acp.py": "print()\n"})
FOR_THE_CLUSTER = ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1"]
FOR_REGISTRIES = ["kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"]
CONSENT = {"agentex.scale.com/use": "true"}


async def answer(_request: web.Request) -> web.Response:
    return web.Response(body=GOOD)


@pytest.fixture
def depot() -> Iterator[Server]:
    with serving(answer) as server:
        yield server


def a_secret_of_type(kind: str, name: str = "agentex", **labels: str) -> Object:
    values = {"api-key": KEY.encode(), "bearerToken": CANARY.encode(), "context.tar.gz": GOOD}
    data = {key: base64.b64encode(value).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": labels}, "type": kind,
            "data": data}


def over_http(depot: Server) -> Object:
    digest = f"sha256:{hashlib.sha256(GOOD).hexdigest()}"
    http = {"url": f"{depot.url}/c.tar.gz", "digest": digest, "secretRef": {"name": "login"}}
    return a_build(source={"http": http})


def message(harness: Harness, kind: str, name: str) -> str:
    return str(condition(harness.get(kind, name), "Ready")["message"])


def posts(harness: Harness) -> int:
    return sum(call["method"] == "POST" for call in harness.simulator.calls())


# --- an endpoint of the tenant's own ----------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [("*.scale.com",), (), ("127.0.0.1",), ("127.0.0.1:1",), ("*.example.com:*",)])
async def test_a_key_is_neither_read_nor_sent_for_an_endpoint_that_is_not_allowed(
    make_harness: MakeHarness, allowed: tuple[str, ...]
) -> None:
    harness = make_harness(allowed_endpoints=allowed)
    async with harness.running():
        harness.apply(a_secret(), an_account(harness.simulator.url), an_image())
        await harness.wait("AgentexAccount", "default", says("Stalled", "True", "EndpointNotAllowed"))
        await harness.wait("AgentBuild", "quote", says("Ready", "False", "AccountNotReady"))
        await harness.advance(900)

    said = message(harness, "AgentexAccount", "default")
    assert "--allowed-endpoints" in said
    assert harness.simulator.url.removeprefix("http://") in said
    assert harness.redactor.clean(KEY) == KEY, "the key was read"
    assert harness.simulator.calls() == []


async def test_a_key_is_sent_once_the_administrator_allows_the_endpoint(make_harness: MakeHarness) -> None:
    refusing, allowing = make_harness(allowed_endpoints=()), make_harness()
    async with refusing.running():
        refusing.apply(a_secret(), an_account(refusing.simulator.url))
        await refusing.wait("AgentexAccount", "default", says("Stalled", "True", "EndpointNotAllowed"))

    allowing.cluster = refusing.cluster
    async with allowing.running():
        await allowing.wait("AgentexAccount", "default")


async def test_the_endpoint_of_a_cluster_account_needs_no_entry(make_harness: MakeHarness) -> None:
    harness = make_harness(allowed_endpoints=())
    async with harness.running():
        harness.cluster.create(a_secret(), "agentex-system")
        harness.apply(an_account(harness.simulator.url, "shared", "ClusterAgentexAccount"))

        await harness.wait("ClusterAgentexAccount", "shared")


# --- a Secret that is not for this use --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FOR_THE_CLUSTER + FOR_REGISTRIES)
async def test_a_secret_of_another_use_is_never_an_api_key(bare: Harness, kind: str) -> None:
    bare.apply(a_secret_of_type(kind), an_account(bare.simulator.url))
    await bare.wait("AgentexAccount", "default", says("Ready", "False", "SecretInvalid"))

    said = message(bare, "AgentexAccount", "default")
    assert (kind in said, "of type Opaque" in said, bare.simulator.calls()) == (True, True, [])

    bare.cluster.remove(SECRET, TEAM, "agentex")
    bare.apply(a_secret())
    await bare.wait("AgentexAccount", "default")


@pytest.mark.parametrize("kind", FOR_THE_CLUSTER + FOR_REGISTRIES)
async def test_a_secret_of_another_use_is_never_sent_to_a_source(
    make_harness: MakeHarness, depot: Server, kind: str
) -> None:
    harness = make_harness(allowed_source_hosts=(depot.host,))
    async with harness.running():
        await harness.with_account()
        harness.apply(a_secret_of_type(kind, "login"), over_http(depot))
        await harness.wait("AgentBuild", "quote", says("Ready", "False", "SecretInvalid"))

    assert (kind in message(harness, "AgentBuild", "quote"), depot.asked, posts(harness)) == (True, [], 0)
    assert CANARY not in str(harness.get("AgentBuild", "quote"))


@pytest.mark.parametrize("kind", FOR_THE_CLUSTER)
async def test_a_secret_for_the_cluster_is_never_an_archive(harness: Harness, kind: str) -> None:
    source = {"secretKeyRef": {"name": "login", "key": "context.tar.gz"}}
    harness.apply(a_secret_of_type(kind, "login"), a_build(source=source))

    await harness.wait("AgentBuild", "quote", says("Ready", "False", "SecretInvalid"))

    assert posts(harness) == 0


@pytest.mark.parametrize("value", ["hunter2", "1234", "{\"auths\": {}}", "\x1f", "\x1f\x8a", "PK\x03\x04"])
async def test_a_value_that_is_no_archive_is_not_told_by_its_digest(harness: Harness, value: str) -> None:
    data = {"password": value.encode("latin-1"), "archive": GOOD}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
              "data": {name: base64.b64encode(one).decode() for name, one in data.items()}}
    harness.apply(secret, a_build(source={"secretKeyRef": {"name": "db", "key": "password"}}),
                  a_build("other", agentName="quote", source={"secretKeyRef": {"name": "db", "key": "archive"}}))
    await harness.wait("AgentBuild", "other", within=1200)
    harness.edit("AgentBuild", "other", spec={"source": {"secretKeyRef": {"name": "db", "key": "password"}}})

    found = [await harness.wait("AgentBuild", name, says("Ready", "False", "CorruptContext"))
             for name in ("quote", "other")]

    assert hashlib.sha256(value.encode("latin-1")).hexdigest() not in str(found)


# --- consent ----------------------------------------------------------------------------------------------------------


def labelled(obj: Object, **labels: str) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "labels": {**CONSENT, **labels}}}


async def labelled_account(harness: Harness) -> None:
    harness.apply(labelled(a_secret()), an_account(harness.simulator.url))
    await harness.wait("AgentexAccount", "default")


async def test_without_consent_a_key_is_not_read_and_the_condition_has_the_command(make_harness: MakeHarness) -> None:
    harness = make_harness(require_secret_consent=True)
    async with harness.running():
        harness.apply(a_secret(), an_account(harness.simulator.url))
        await harness.wait("AgentexAccount", "default", says("Ready", "False", "SecretInvalid"))
        command = f"kubectl label secret agentex --namespace {TEAM} --overwrite agentex.scale.com/use=true"
        assert command in message(harness, "AgentexAccount", "default")
        assert (harness.redactor.clean(KEY), harness.simulator.calls()) == (KEY, [])

        harness.apply(labelled(a_secret()))
        await harness.wait("AgentexAccount", "default")


@pytest.mark.parametrize("value", ["false", "True", ""])
async def test_a_label_with_another_value_is_no_consent(make_harness: MakeHarness, value: str) -> None:
    harness = make_harness(require_secret_consent=True)
    async with harness.running():
        harness.apply(labelled(a_secret(), **{"agentex.scale.com/use": value}), an_account(harness.simulator.url))

        await harness.wait("AgentexAccount", "default", says("Ready", "False", "SecretInvalid"))


async def test_without_consent_no_credential_is_sent_to_a_source(make_harness: MakeHarness, depot: Server) -> None:
    harness = make_harness(require_secret_consent=True, allowed_source_hosts=(depot.host,))
    async with harness.running():
        await labelled_account(harness)
        harness.apply(a_secret_of_type("Opaque", "login"), over_http(depot))
        await harness.wait("AgentBuild", "quote", says("Ready", "False", "SecretInvalid"))
        assert ("kubectl label secret login" in message(harness, "AgentBuild", "quote"), depot.asked) == (True, [])

        harness.apply(a_secret_of_type("Opaque", "login", **CONSENT))
        await harness.wait("AgentBuild", "quote")


async def test_without_consent_no_archive_is_read(make_harness: MakeHarness) -> None:
    harness = make_harness(require_secret_consent=True)
    async with harness.running():
        await labelled_account(harness)
        source: dict[str, Any] = {"secretKeyRef": {"name": "login", "key": "context.tar.gz"}}
        harness.apply(a_secret_of_type("Opaque", "login"), a_build(source=source))
        await harness.wait("AgentBuild", "quote", says("Ready", "False", "SecretInvalid"))
        assert ("kubectl label secret login" in message(harness, "AgentBuild", "quote"), posts(harness)) == (True, 0)

        harness.apply(a_secret_of_type("Opaque", "login", **CONSENT))
        await harness.wait("AgentBuild", "quote")
