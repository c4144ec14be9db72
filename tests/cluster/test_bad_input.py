"""Bad input ends in an admission error or in a condition that says what to do, and disturbs nobody else.

All of it is applied at once to one operator, beside a healthy pair; each piece is then judged by itself.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from agentex_operator.clock import Clock
from agentex_testkit import hostile
from agentex_testkit.api_server import Object, condition, eventually, says
from agentex_testkit.builders import a_build, a_context, a_deployment, a_manifest, a_secret, an_account
from agentex_testkit.cluster_fixture import ClusterFixture, opened
from agentex_testkit.hostile import SourceServer
from agentex_testkit.installation import Installation
from agentex_testkit.judge.invariants import faults_of
from agentex_testkit.operator_process import RESYNC, Operator

API_KEY, WRONG_KEY, BROKEN_KEY, TOKEN, PASSWORD, SPOKEN = CANARIES = tuple(
    f"{name}-{secrets.token_hex(12)}" for name in ("apikey", "wrongkey", "brokenkey", "token", "password", "spoken"))
BYSTANDERS = (("AgentBuild", "bystander"), ("AgentDeployment", "bystander"))
NASTY = "\x1b[31mred\nINFO: all is well\u2028\x9b2J"
A_FEW_WRITES = 4  # of one resource that goes nowhere, besides those of its retries
LONG = ".".join(["b" * 62] * 4) + ".b"


@dataclass(frozen=True)
class Bad:
    """Something bad: what is applied, and what is said of the last of it. `creates`: the remote creates."""

    reason: str
    step: str
    objects: tuple[Object, ...]
    status: str = "False"
    stalled: bool = True
    creates: int = 0
    prepare: Callable[[ClusterFixture], object] = field(default=lambda _: None)

    @property
    def key(self) -> tuple[str, str]:
        """Kind and name of what is judged."""
        return self.objects[-1]["kind"], self.objects[-1]["metadata"]["name"]


# --- builders of the bad --------------------------------------------------------------------------------------------


def named(reason: str, step: str, *objects: Object, **more: Any) -> Bad:
    return Bad(reason, step, objects, **more)


def waiting(reason: str, step: str, *objects: Object, **more: Any) -> Bad:
    """Something else must happen first, or is missing: Reconciling during the grace, which is an hour here."""
    return Bad(reason, step, objects, stalled=False, **more)


def a_map(name: str, content: bytes, key: str = "context.tar.gz") -> Object:
    """A ConfigMap with bytes."""
    data = {key: base64.b64encode(content).decode()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "binaryData": data}


def a_text(name: str, **data: str) -> Object:
    """A ConfigMap with text."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def raw_secret(name: str, **values: bytes) -> Object:
    """A Secret with any bytes."""
    data = {key.replace("_", "-"): base64.b64encode(value).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


def packs(name: str, reason: str, step: str, make: Callable[[str], bytes]) -> Bad:
    """A build of the archive that `make` makes, in a ConfigMap."""
    return named(reason, step, a_map(name, make(name)), a_build(name))


def keyed(name: str, reason: str, step: str, *secret: Object, stalled: bool = True, endpoint: str = "{endpoint}",
          **spec: Any) -> Bad:
    """An account whose key, or address, is wrong in some way."""
    ref = {"name": name, "key": "api-key"}
    return Bad(reason, step, (*secret, an_account(endpoint, name, apiKeySecretRef=ref, **spec)), stalled=stalled)


def in_account(name: str, reason: str, step: str, account: Bad) -> Bad:
    """A build in such an account."""
    build = a_build(name, accountRef={"name": account.key[1]})
    return named(reason, step, a_context(name), build)


def deploys(name: str, reason: str, step: str, **spec: Any) -> Bad:
    """A deployment of the bystander's build, so that only its own part is bad."""
    usual = {"buildRef": {"name": "bystander"}, "manifest": {"inline": a_manifest("bystander")}}
    return named(reason, step, a_deployment(name, **{**usual, **spec}))


# --- the bad --------------------------------------------------------------------------------------------------------

ACCOUNTS = {
    "an account without its Secret": keyed("secretless", "SecretNotFound", "Create it", stalled=False),
    "an account without its key": keyed("keyless", "KeyNotFound", "Add it", raw_secret("keyless", other=b"x")),
    "an account whose key is binary": keyed("binary", "SecretInvalid", "Write the API key",
                                            raw_secret("binary", api_key=b"\xff\xfe\x00" + BROKEN_KEY.encode())),
    "an account whose key has a line break": keyed("broken", "SecretInvalid", "API key",
                                                   raw_secret("broken", api_key=f"{BROKEN_KEY}\nx".encode())),
    "an account whose key is empty": keyed("empty", "SecretInvalid", "API key", raw_secret("empty", api_key=b"\n")),
    "an account that refuses the key": keyed("locked", "AccessDenied", "Check the API key",
                                             raw_secret("locked", api_key=WRONG_KEY.encode())),
    "an account whose endpoint knows nothing": keyed(
        "nowhere", "EndpointNotFound", "Check spec.endpoint", a_secret("nowhere", API_KEY),
        endpoint="{endpoint}/elsewhere"),
    "an account that is not found": keyed("void", "EndpointNotFound", "Check spec.endpoint",
                                          accountID="acct-void"),
    "an account that nobody answers for": keyed("dead", "RemoteUnavailable", "check spec.endpoint",
                                                a_secret("dead", API_KEY), endpoint="http://127.0.0.1:9",
                                                stalled=False),
}
WITHOUT_ACCOUNT = {
    "no such account": waiting("AccountNotFound", "anew with another spec.accountRef", a_context("homeless"),
                               a_build("homeless", accountRef={"name": "nobody"})),
    "no such account for a deployment": waiting("AccountNotFound", "anew with another spec.accountRef",
                                                a_deployment("homeless", accountRef={"name": "nobody"})),
    "a build in an account without a key": in_account("in-keyless", "AccountNotReady", "Add it, or correct",
                                                      ACCOUNTS["an account without its key"]),
    "a build in an account that refuses the key": in_account("in-locked", "AccessDenied", "Check the API key",
                                                             ACCOUNTS["an account that refuses the key"]),
    "a build in an account that is not found": in_account("in-void", "AccountNotReady", "Check spec.endpoint",
                                                          ACCOUNTS["an account that is not found"]),
}
REFERENCES = {
    "no such ConfigMap": waiting("ConfigMapNotFound", "Create it, or correct spec.source", a_build("mapless")),
    "no such key in the ConfigMap": named("KeyNotFound", "Add it, or correct", a_map("other-key", b"x", key="other"),
                                          a_build("other-key")),
    "text instead of binaryData": named(
        "InvalidContext", "under binaryData", a_text("text", **{"context.tar.gz": "x"}), a_build("text")),
    "no such source Secret": waiting("SecretNotFound", "Create it, or correct", a_build(
        "no-secret", source={"secretKeyRef": {"name": "no-secret", "key": "context.tar.gz"}})),
    "no such key in the source Secret": named("KeyNotFound", "Add it", raw_secret("no-key", x=b"x"), a_build(
        "no-key", source={"secretKeyRef": {"name": "no-key", "key": "context.tar.gz"}})),
    "a source Secret with garbage": named("CorruptContext", "tar -czf", raw_secret("junk", junk=b"\xff\x00"), a_build(
        "junk", source={"secretKeyRef": {"name": "junk", "key": "junk"}})),
    "no such build to deploy": waiting("BuildNotFound", "correct spec.buildRef", a_deployment("buildless")),
    "no such build id to deploy": waiting("BuildNotFound", "spec.buildID", a_deployment(
        "no-build-id", buildRef=None, buildID="b-nobody")),
    "no such ConfigMap with environments": waiting("ConfigMapNotFound", "Create it, or correct", a_deployment(
        "no-environments", buildRef={"name": "bystander"},
        environments={"configMapKeyRef": {"name": "nobody", "key": "environments.yaml"}})),
    "no such key in the ConfigMap with environments": named(
        "KeyNotFound", "spec.environments.configMapKeyRef.key", a_text("other-environments", other="x"), a_deployment(
            "other-environments", buildRef={"name": "bystander"},
            environments={"configMapKeyRef": {"name": "other-environments", "key": "environments.yaml"}})),
    "no such key in the ConfigMap with a manifest": named(
        "KeyNotFound", "spec.manifest.configMapKeyRef.key", a_text("other-manifest", other="x"), a_deployment(
            "other-manifest", buildRef={"name": "bystander"},
            manifest={"configMapKeyRef": {"name": "other-manifest", "key": "manifest.yaml"}})),
}
ARCHIVES = {
    "no Dockerfile": packs("no-dockerfile", "DockerfileNotFound", "Add it", hostile.without("Dockerfile")),
    "no manifest": packs("no-manifest", "ManifestNotFound", "Correct spec.context", hostile.without("manifest.yaml")),
    "an absolute path": packs("absolute", "InvalidContext", "paths are relative",
                              hostile.beside(hostile.a_member("/etc/cron.d/x", b"x"))),
    "a path that climbs out": packs("climber", "InvalidContext", "paths are relative",
                                    hostile.beside(hostile.a_member("project/../../x", b"x"))),
    "a symbolic link that leads out": packs("link-out", "UnsafeSymlink", "Replace it", hostile.beside(
        hostile.a_member("project/secrets", type=tarfile.SYMTYPE, linkname="/var/run/secrets"))),
    "a symbolic link that climbs out": packs("link-up", "UnsafeSymlink", "Replace it", hostile.beside(
        hostile.a_member("project/up", type=tarfile.SYMTYPE, linkname="../../../etc/passwd"))),
    "a file behind a symbolic link": packs("behind", "UnsafeSymlink", "Make it anew", hostile.beside(
        hostile.a_member("project/d", type=tarfile.SYMTYPE, linkname="/tmp"),  # noqa: S108 - the attack itself
        hostile.a_member("project/d/x", b"x"))),
    "a hard link out": packs("hardlink", "InvalidContext", "paths are relative", hostile.beside(
        hostile.a_member("project/h", type=tarfile.LNKTYPE, linkname="/etc/passwd"))),
    "a device": packs("device", "InvalidContext", "device", hostile.beside(
        hostile.a_member("project/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3))),
    "a pipe": packs("pipe", "InvalidContext", "pipe", hostile.beside(
        hostile.a_member("project/pipe", type=tarfile.FIFOTYPE))),
    "a bomb": packs("bomb", "ContextTooLarge", "Leave out", hostile.a_bomb),
    "a file twice": packs("twice", "InvalidContext", "make it anew", hostile.beside(
        hostile.a_member("project/acp.py", b"other"))),
    "a zip": packs("zip", "CorruptContext", "tar -czf", hostile.a_zip),
    "a cut-off archive": packs("cut", "CorruptContext", "tar -czf", hostile.cut_short),
    "two archives in one": packs("two", "InvalidContext", "tar -czf", hostile.two_in_one),
    "an empty file": packs("nothing", "CorruptContext", "tar -czf", lambda _: b""),
    "an archive of nothing": packs("hollow", "InvalidContext", "no files", lambda _: hostile.packed()),
    "a name with a line break": packs("nasty-name", "InvalidContext", "paths are relative", hostile.beside(
        hostile.a_member(f"project/{NASTY}", b"x"))),
}
NASTY_AGENT = f"""build: {{context: {{root: ., dockerfile: D}}}}
agent: {{name: {json.dumps(NASTY)}, acp_type: sync, description: d}}"""
MANIFESTS = {
    "a manifest that is not YAML": packs("no-yaml", "InvalidManifest", "is not valid YAML",
                                         hostile.with_manifest(f"agent: {{ secret: {SPOKEN}")),
    "a manifest that is a list": packs("a-list", "InvalidManifest", "must be a YAML map", hostile.with_manifest("[1]")),
    "a manifest that is a bomb": packs("laughs", "InvalidManifest", "expand to more",
                                       hostile.with_manifest(hostile.LAUGHS)),
    "a manifest of endless depth": packs("deep", "InvalidManifest", "levels deep", hostile.with_manifest(hostile.DEEP)),
    "a manifest that runs code": packs("code", "InvalidManifest", "only plain values",
                                       hostile.with_manifest("agent: !!python/object/apply:os.system [id]")),
    "a manifest with a NUL": packs("nul", "InvalidManifest", "NUL", hostile.with_manifest("agent: \0")),
    "the manifest of another agent": packs("impostor", "InvalidManifest", "correct agent.name",
                                           hostile.with_manifest(a_manifest("somebody-else"))),
    "a manifest with a broken agent name": packs("nasty-agent", "InvalidManifest", "rename it",
                                                 hostile.with_manifest(NASTY_AGENT)),
    "an inline manifest that is not YAML": deploys("d-no-yaml", "InvalidManifest", "is not valid YAML",
                                                   manifest={"inline": f"agent: {{ secret: {SPOKEN}"}),
    "an inline manifest that is a bomb": deploys("d-laughs", "InvalidManifest", "expand to more",
                                                 manifest={"inline": hostile.LAUGHS}),
    "an inline manifest of endless depth": deploys("d-deep", "InvalidManifest", "levels deep",
                                                   manifest={"inline": hostile.DEEP}),
    "an inline manifest of another agent": deploys("d-impostor", "InvalidManifest", "correct agent.name",
                                                   manifest={"inline": a_manifest("somebody-else")}),
    "environments of endless depth": deploys("d-deep-env", "InvalidEnvironments", "levels deep",
                                             environments={"inline": hostile.DEEP}),
    "an environment that is not there": deploys("d-nasty-env", "InvalidEnvironments", "Correct spec.environment",
                                                environment=f"x{NASTY}"[:30]),
}


def answered(name: str, *after: Object, **fault: Any) -> Bad:
    """A build, and what comes after it, in an account of its own whose remote misbehaves."""
    account, key = f"acct-{name}", f"key-{name}"
    build = a_build(name, accountRef={"name": name})
    ref = {"name": name, "key": "api-key"}
    owner = an_account("{endpoint}", name, accountID=account, apiKeySecretRef=ref)

    def prepare(world: ClusterFixture) -> None:
        world.simulator.set_keys(account, key)
        world.simulator.fault(fault["kind"], forever=True, **{**fault["script"], "match": {
            "account": account, **fault["script"].get("match", {})}})

    said = {"reason": fault["reason"], "step": fault["step"], "creates": fault.get("creates", 0)}
    objects = (a_secret(name, key), owner, a_context(name), build, *after)
    return Bad(objects=objects, prepare=prepare, status=fault.get("status", "False"),
               stalled=fault.get("stalled", True), **said)


REMOTE = {
    "an unknown status word": answered(
        "hibernating", kind="status-words", script={"value": "hibernating"}, reason="UnrecognizedExternalStatus",
        step="hibernating", status="Unknown", stalled=False, creates=1),
    "an unknown status word for a deployment": answered(
        "levitating", a_deployment("levitating", accountRef={"name": "levitating"}), kind="status-words",
        script={"value": "levitating", "match": {"regex": "^/v5/agentex/deployments"}},
        reason="UnrecognizedExternalStatus", step="levitating", status="Unknown", stalled=False, creates=1),
    "a status word that breaks lines": answered(
        "nasty-word", kind="status-words", script={"value": NASTY}, reason="UnrecognizedExternalStatus", step="red",
        status="Unknown", stalled=False, creates=1),
    "a refusal that breaks lines": answered(
        "nasty-no", kind="status", script={"status": 422, "body": {"detail": f"no {NASTY} no"}, "match": {
            "method": "POST"}}, reason="AgentNameTaken", step="another spec.agentName"),
    "a refusal that quotes the key": answered(
        "parrot", kind="status", script={"status": 413, "body": {"detail": "the key key-parrot may not"}, "match": {
            "method": "POST"}}, reason="RejectedByRemote", step="may not. Correct the spec"),
    "an agent id that breaks lines": Bad("RejectedByRemote", "Correct the spec", (
        a_context("nasty-id"), a_build("nasty-id", agentName=None, agentID=NASTY))),
}


def sources(depot: SourceServer) -> dict[str, Bad]:
    """Everything that a server can do wrong."""
    archive, junk = hostile.packed(*hostile.good("anything")), secrets.token_bytes(1000)
    gone = {"http": {"url": "http://127.0.0.1:9/x", "digest": "sha256:" + "0" * 64}}
    with_user = depot.source("/x")["http"] | {"url": f"http://user:{PASSWORD}@{depot.host}/x?sig={TOKEN}"}
    credentials = raw_secret("credentials", bearerToken=TOKEN.encode())
    basic = raw_secret("basic", username=b"user", password=PASSWORD.encode())

    def of(name: str, source: dict[str, Any]) -> Object:
        return a_build(name, source=source)

    return {
        "an unreachable source": waiting("RemoteUnavailable", "check spec.source.http.url", of("unreachable", gone)),
        "a source of an internal address": named("InvalidURL", "Correct spec.source.http.url", of("metadata", {"http": {
            "url": "https://169.254.169.254/latest", "digest": gone["http"]["digest"]}})),
        "a source with a password in its address": named("InvalidURL", "put credentials into a Secret",
                                                         of("userinfo", {"http": with_user})),
        "a source that does not exist": waiting("SourceNotFound", "Publish it, or correct", of(
            "unpublished", depot.source("/nothing"))),
        "a source that is locked": named("SourceUnauthorized", "Correct the Secret", credentials, of(
            "private", depot.source("/status/403", secretRef={"name": "credentials"}))),
        "a source whose Secret is missing": waiting("SecretNotFound", "spec.source.http.secretRef.name", of(
            "without-secret", depot.source("/status/403", secretRef={"name": "nobody"}))),
        "a source that is locked by password": named("SourceUnauthorized", "Correct the Secret", basic, of(
            "basic", depot.source("/status/401", secretRef={"name": "basic"}))),
        "a source that answers nonsense": named("SourceRejected", "Correct spec.source.http.url", of(
            "teapot", depot.source("/status/418"))),
        "a source that breaks": waiting("RemoteUnavailable", "check spec.source.http.url", of(
            "breaks", depot.source("/status/500"))),
        "a source that is cut off": waiting("RemoteUnavailable", "check spec.source.http.url", of(
            "cut-off", depot.source("/truncated"))),
        "a source that says it is too large": named("ContextTooLarge", "Leave out", of("huge", depot.source("/huge"))),
        "a source without an end": named("ContextTooLarge", "Leave out", of("endless", depot.source("/endless"))),
        "a source of noise": named("CorruptContext", "tar -czf", of("noise", depot.serve("/noise", junk))),
        "a source with half an archive": named("CorruptContext", "tar -czf", of("half", depot.serve(
            "/half", archive[: len(archive) // 2]))),
        "a source of other content": named("DigestMismatch", "Correct it if", of("moved", {
            **depot.serve("/moved", archive), **depot.source("/moved", b"what was pinned")})),
    }


WRONG: dict[str, Bad] = {**ACCOUNTS, **WITHOUT_ACCOUNT, **REFERENCES, **ARCHIVES, **MANIFESTS, **REMOTE}
SOURCES = tuple(sources(SourceServer()))

# --- the stage ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def depot() -> Iterator[SourceServer]:
    with SourceServer() as depot:
        yield depot


@pytest.fixture(scope="module")
def module_world(installation: Installation, depot: SourceServer) -> Iterator[ClusterFixture]:
    """An operator that says everything it can, and allows one more host."""
    name = f"bad-input-{secrets.token_hex(3)}"
    installation.cluster.kubectl("create", "namespace", name)
    flags = ("--log-level=debug", "--reference-grace=1h", f"--allowed-source-hosts={depot.host},127.0.0.1:9")
    try:
        with opened(installation, name, flags=flags, account=False, accounts=(("acct-1", API_KEY),)) as world:
            yield world
            world.simulator.clear_faults()
            world.close()
    finally:
        installation.cluster.kubectl("delete", "namespace", name, "--wait=false")


@dataclass(frozen=True)
class Scene:
    """The world after all of the bad was applied; `before`: the healthy pair, as it was then."""

    world: ClusterFixture
    bad: dict[str, Bad]
    before: dict[tuple[str, str], Object]


@pytest.fixture(scope="module")
def scene(module_world: ClusterFixture, depot: SourceServer) -> Scene:
    """A healthy pair becomes Ready; then everything bad comes at once."""
    world, bad = module_world, {**WRONG, **sources(depot)}
    world.apply(a_secret("agentex", API_KEY), an_account(world.endpoint), a_secret("void", "key-void"))
    world.apply(a_context("bystander"), a_build("bystander"), a_deployment("bystander"))
    before = {key: world.wait(*key) for key in BYSTANDERS}
    world.simulator.set_keys("acct-void", "key-void")
    world.simulator.fault("not-found", forever=True, match={"account": "acct-void"})
    with ThreadPoolExecutor(8) as hands:
        list(hands.map(lambda one: _apply(world, one), bad.values()))
    return Scene(world, bad, before)


def _apply(world: ClusterFixture, bad: Bad) -> None:
    bad.prepare(world)
    for obj in bad.objects:
        world.apply(json.loads(json.dumps(obj).replace("{endpoint}", world.endpoint)))


def told(bad: Bad) -> Callable[[Object | None], bool]:
    """Whether the object says why, in Ready and in the condition beside it.

    A build is Reconciling with the reason AccountNotReady until its account is Stalled.
    """
    is_not_ready = says("Ready", bad.status, bad.reason)
    has_progress = says("Stalled" if bad.stalled else "Reconciling", "True", bad.reason)
    return lambda obj: is_not_ready(obj) and has_progress(obj)


@pytest.fixture(scope="module")
def judged(scene: Scene) -> Scene:
    """The scene when of everything bad its condition has been said."""
    for bad in scene.bad.values():
        scene.world.wait(*bad.key, told(bad))
    return scene


# --- conditions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*WRONG, *SOURCES])
def test_the_condition_says_what_is_wrong_and_what_to_do(scene: Scene, name: str) -> None:
    bad = scene.bad[name]
    obj = scene.world.wait(*bad.key, told(bad))

    message = condition(obj, "Ready")["message"]
    assert bad.step in message
    assert message.isprintable(), repr(message)
    assert bool(condition(obj, "Stalled")) == bad.stalled
    assert bool(condition(obj, "Reconciling")) != bad.stalled
    versions = scene.world.versions(*bad.key)
    assert [fault for version in versions for fault in faults_of(version)] == []


@pytest.mark.parametrize("name", [name for name, bad in WRONG.items() if bad.key[0] != "AgentexAccount"] + [*SOURCES])
def test_nothing_remote_is_made_of_it(judged: Scene, name: str) -> None:
    bad = judged.bad[name]

    assert judged.world.creates(*bad.key) == bad.creates


# --- admission ------------------------------------------------------------------------------------------------------

HTTP = {"url": "https://files.example.com/a.tar.gz", "digest": "sha256:" + "0" * 64}
REFUSED: dict[str, tuple[Object, str]] = {
    "no source": (a_build("x", source={}), "set exactly one of configMapKeyRef, secretKeyRef, http or image"),
    "two sources": (a_build("x", source={"http": HTTP, "image": {"url": "x:1"}}), "set exactly one of"),
    "a label of 31 characters": (a_deployment("x", preview={"label": "x" * 31}), "spec.preview.label: Too long"),
    "a manifest of 1.4 MB": (a_deployment("x", manifest={"inline": "#" * 1_400_000}), "spec.manifest.inline: Too long"),
    "a ConfigMap of 1.4 MB": (a_map("x", bytes(1_400_000)), "Too long"),
    "an annotation of 1.4 MB": ({**a_build("x"), "metadata": {"name": "x", "annotations": {"a": "x" * 1_400_000}}},
                                "annotations: Too long"),
    "a name of 254 characters": (a_build("x", image={"name": "x"}) | {"metadata": {"name": f"{LONG}b"}},
                                 "must be no more than 253"),
    "an agent name of 64 characters": (a_build("x", agentName="x" * 64), "spec.agentName: Too long"),
    "an image with a line break": (a_build("x", source={"image": {"url": "x:1\nINFO"}}), "spec.source.image.url"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_api_server_refuses_it_with_our_message(installation: Installation, scene: Scene, name: str) -> None:
    obj, why = REFUSED[name]
    told = ("apply", "--server-side", "-f", "-", "--namespace", scene.world.namespace)
    said = installation.cluster.kubectl(*told, input=json.dumps(obj), check=False)

    assert why in said
    assert "serverside-applied" not in said


def test_an_endpoint_in_the_clear_needs_the_operators_allowance(installation: Installation, namespace: str) -> None:
    strict = StrictOperator(installation.kubeconfig, (namespace,), installation.cluster.workspace)
    strict.start()
    try:
        for obj in (a_secret(), an_account("http://127.0.0.1:9")):
            installation.api.apply(obj, namespace)
        obj = eventually(lambda: installation.api.get("AgentexAccount", "default", namespace),
                         says("Ready", "False", "InvalidEndpoint"))
    finally:
        strict.end()

    assert "--allow-http-endpoints" in condition(obj, "Ready")["message"]
    assert condition(obj, "Stalled")
    assert faults_of(obj) == []


class StrictOperator(Operator):
    """As in production: without leave to speak http."""

    def _command(self) -> list[str]:
        return [word for word in super()._command() if word != "--allow-http-endpoints"]


# --- long names -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["b" * 63, LONG], ids=["63 characters", "253 characters"])
def test_a_long_name_works_from_end_to_end(scene: Scene, name: str) -> None:
    world, agent = scene.world, f"long-{len(name)}"
    build = a_build(name, agentName=agent, image={"name": agent})
    context = {**a_context(agent), "metadata": {"name": name}}
    world.apply(context, build, a_deployment(name, manifest={"inline": a_manifest(agent)}))

    world.wait("AgentBuild", name)
    world.wait("AgentDeployment", name)
    assert eventually(lambda: world.events("AgentDeployment", name))


def test_a_label_that_breaks_lines_works_as_the_server_spells_it(scene: Scene) -> None:
    preview = {"label": NASTY[:30], "ttl": "1h"}
    scene.world.apply(a_deployment("nasty-label", buildRef={"name": "bystander"}, manifest={
        "inline": a_manifest("bystander")}, preview=preview))

    scene.world.wait("AgentDeployment", "nasty-label")
    (remote,) = scene.world.living("AgentDeployment", "nasty-label")
    assert re.fullmatch(r"[a-z0-9-]+", remote["preview_label"])


# --- and nobody else ------------------------------------------------------------------------------------------------


def test_the_healthy_pair_was_not_touched(judged: Scene) -> None:
    after = {key: judged.world.get(*key) for key in BYSTANDERS}

    versions = {key: obj and obj["metadata"]["resourceVersion"] for key, obj in after.items()}
    assert versions == {key: obj["metadata"]["resourceVersion"] for key, obj in judged.before.items()}
    assert all(condition(obj, "Ready")["status"] == "True" for obj in after.values())


def test_nothing_bad_is_written_about_without_end(judged: Scene) -> None:
    """A refused create is tried again at each resync: what was meant and what came of it are two writes."""
    versions = {bad.key: judged.world.versions(*bad.key) for bad in judged.bad.values()}
    now = Clock().now()
    ages = {key: now - datetime.fromisoformat(found[0]["metadata"]["creationTimestamp"])
            for key, found in versions.items() if found}

    most = {key: A_FEW_WRITES + 2 * (1 + age // RESYNC) for key, age in ages.items()}
    assert {key: len(versions[key]) for key in ages if len(versions[key]) > most[key]} == {}


def test_an_endless_body_is_left_at_its_limit(judged: Scene, depot: SourceServer) -> None:
    assert hostile.LIMIT < depot.sent < hostile.LIMIT + 64_000_000  # what the sockets hold besides


def test_the_operator_lives_and_found_no_bug_of_its_own(judged: Scene) -> None:
    assert judged.world.operator.running
    assert "this is a bug" not in judged.world.operator.log
    assert "stacktrace" not in judged.world.operator.log


def test_every_line_of_the_log_is_one_record(judged: Scene) -> None:
    log = judged.world.operator.log_path.read_bytes().decode()
    lines = log.split("\n")[:-1]

    assert [line for line in lines if not isinstance(json.loads(line), dict)] == []
    assert re.findall(r"[^\n -~\u00a0-\u2027\u202f-\U0010ffff]", log) == []


def test_no_secret_is_told_to_anybody(judged: Scene) -> None:
    world = judged.world
    kinds = ("AgentexAccount", "AgentBuild", "AgentDeployment", "Event")
    objects = [_without_spec(one) for kind in kinds for one in world.api.list(kind, world.namespace)]
    places = {"log": world.operator.log, "objects": json.dumps(objects), "command lines": _command_lines()}
    places |= {"former versions": json.dumps([_without_spec(one) for bad in judged.bad.values() for one in
                                              world.versions(*bad.key)])}

    assert [(place, canary) for place, text in places.items() for canary in CANARIES if _tells(text, canary)] == []


def _without_spec(obj: Object) -> Object:
    """What the operator may have written: a user's spec says what the user says."""
    return {key: value for key, value in obj.items() if key != "spec"}


def _tells(text: str, canary: str) -> bool:
    """Whether the canary is there, plain or in base64, or a telling part of it."""
    return any(form in text for form in (canary[-16:], base64.b64encode(canary.encode()).decode().rstrip("=")[:-1]))


def _command_lines() -> str:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().decode(errors="replace"))
        except OSError:  # it ended meanwhile
            continue
    return "\n".join(found)
