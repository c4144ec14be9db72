"""Each error of a source, as the AgentBuild says it: a reason, a next step, no build; and the end of the error."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from tests.reconcile.conftest import MakeHarness
from tests.sources.archives import a_link, a_tar_gz
from tests.sources.servers import Server, serving

from agentex_testkit import samples
from agentex_testkit.api_server import Object, condition, says
from agentex_testkit.builders import DOCKERFILE, a_build, a_manifest
from agentex_testkit.harness import Harness

GOOD = a_tar_gz({"manifest.yaml": a_manifest(), "Dockerfile": DOCKERFILE, "project/acp.py": "print()\n"})
KEY = "context.tar.gz"


@dataclass
class Depot:
    """An HTTP server whose answer a test sets; `cut`: announce so many bytes, send four, and close the connection."""

    body: bytes = GOOD
    status: int = 200
    cut: int = 0
    server: Server = field(default_factory=Server)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.cut:
            assert request.transport is not None
            request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nhalf" % self.cut)
            await asyncio.sleep(0.01)
            request.transport.close()
        return web.Response(status=self.status, body=self.body, headers={"Location": "https://169.254.169.254/"})


@pytest.fixture
def depot() -> Iterator[Depot]:
    found = Depot()
    with serving(found.answer) as found.server:
        yield found


PINNED = {"digest": f"sha256:{hashlib.sha256(GOOD).hexdigest()}"}
MOVING = {"interval": "24h"}


def over_http(depot: Depot, version: Mapping[str, str] = PINNED, **more: Any) -> Object:
    url = f"{depot.server.url}/c.tar.gz?sig=canary-of-the-url"
    return a_build(source={"http": {"url": url, **version, **more}})


def posts(harness: Harness) -> int:
    return sum((call["method"], call["path"]) == ("POST", "/v5/builds") for call in harness.simulator.calls())


def message(harness: Harness) -> str:
    return str(condition(harness.get("AgentBuild", "quote"), "Ready")["message"])


# --- the answers of an HTTP source ------------------------------------------------------------------------------------

ANSWERS: Mapping[str, tuple[dict[str, Any], str, str]] = {
    "404": ({"status": 404}, "SourceNotFound", "Publish it"),
    "410": ({"status": 410}, "SourceNotFound", "Publish it"),
    "401": ({"status": 401}, "SourceUnauthorized", "Name a Secret with credentials"),
    "403": ({"status": 403}, "SourceUnauthorized", "Name a Secret with credentials"),
    "a redirect to an address of the node": ({"status": 302}, "InvalidURL", "Correct spec.source.http.url"),
    "418": ({"status": 418}, "SourceRejected", "Correct spec.source.http.url"),
    "408": ({"status": 408}, "RemoteUnavailable", "It is tried again"),
    "429": ({"status": 429}, "RemoteUnavailable", "It is tried again"),
    "500": ({"status": 500}, "RemoteUnavailable", "It is tried again"),
    "503": ({"status": 503}, "RemoteUnavailable", "It is tried again"),
    "a connection that breaks": ({"cut": 1000}, "RemoteUnavailable", "It is tried again"),
    "other content": ({"body": GOOD + b"x"}, "DigestMismatch", "Correct it if"),
    "more bytes than allowed": ({"cut": 10**12}, "ContextTooLarge", "is larger than"),
}


WAITED_FOR = {"SourceNotFound", "RemoteUnavailable"}


def condition_for(reason: str) -> str:
    """The condition that says whether the operator waits for something or a person has to mend something."""
    return "Reconciling" if reason in WAITED_FOR else "Stalled"


@pytest.mark.parametrize(("version", "answer"), [
    (version, answer) for version in (PINNED, MOVING) for answer in ANSWERS
    if not (version is MOVING and answer == "other content")  # any content is admitted without a digest
])
async def test_an_answer_of_the_source_is_named_and_the_build_follows_once_it_is_right(
    make_harness: MakeHarness, depot: Depot, version: Mapping[str, str], answer: str
) -> None:
    values, reason, next_step = ANSWERS[answer]
    harness = make_harness(allowed_source_hosts=(depot.server.host,))
    async with harness.running():
        await harness.with_account()
        for name, value in values.items():
            setattr(depot, name, value)
        harness.apply(over_http(depot, version))
        found = await harness.wait("AgentBuild", "quote", says(condition_for(reason), "True", reason))
        assert next_step in condition(found, "Ready")["message"]
        assert "canary" not in str(found["status"])
        assert posts(harness) == 0

        depot.status, depot.body, depot.cut = 200, GOOD, 0
        harness.annotate("AgentBuild", "quote", **{"agentex.scale.com/reconcile-requested-at": "now"})
        await harness.wait("AgentBuild", "quote")

        assert posts(harness) == 1


async def test_a_source_without_a_server_is_tried_again(make_harness: MakeHarness) -> None:
    harness = make_harness(allowed_source_hosts=("127.0.0.1:9",))
    async with harness.running():
        await harness.with_account()
        digest = f"sha256:{'0' * 64}"
        harness.apply(a_build(source={"http": {"url": "http://127.0.0.1:9/c.tar.gz", "digest": digest}}))

        await harness.wait("AgentBuild", "quote", says("Reconciling", "True", "RemoteUnavailable"))

        assert ("no connection" in message(harness), posts(harness)) == (True, 0)


async def test_a_source_at_a_private_address_is_refused_and_never_asked(
    make_harness: MakeHarness, depot: Depot
) -> None:
    harness = make_harness()
    async with harness.running():
        await harness.with_account()
        harness.apply(over_http(depot))

        await harness.wait("AgentBuild", "quote", says("Stalled", "True", "InvalidURL"))

        assert (depot.server.asked, posts(harness)) == ([], 0)


async def test_a_source_whose_secret_is_missing_is_not_asked_before_the_secret_is_there(
    make_harness: MakeHarness, depot: Depot
) -> None:
    harness = make_harness(allowed_source_hosts=(depot.server.host,))
    async with harness.running():
        await harness.with_account()
        harness.apply(over_http(depot, secretRef={"name": "login"}))
        await harness.wait("AgentBuild", "quote", says("Reconciling", "True", "SecretNotFound"))
        assert ("'login'" in message(harness), depot.server.asked) == (True, [])

        harness.apply(a_secret_of(bearerToken=b"canary-token"))
        await harness.wait("AgentBuild", "quote")

        assert {header for _path, header in depot.server.asked} == {"Bearer canary-token"}


def a_secret_of(**values: bytes) -> Object:
    data = {key: base64.b64encode(value).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, "data": data}


@pytest.mark.parametrize("values", [{"other": b"x"}, {"bearerToken": b"\xff\x00"}, {"bearerToken": b"a\r\nb"}, {}],
                         ids=["other keys", "no text", "a line break", "no keys"])
async def test_a_secret_that_is_no_credential_is_named_and_nothing_is_sent(
    make_harness: MakeHarness, depot: Depot, values: dict[str, bytes]
) -> None:
    harness = make_harness(allowed_source_hosts=(depot.server.host,))
    async with harness.running():
        await harness.with_account()
        harness.apply(a_secret_of(**values), over_http(depot, secretRef={"name": "login"}))

        await harness.wait("AgentBuild", "quote", says("Ready", "False", "SecretInvalid"))

        assert ("'login'" in message(harness), depot.server.asked) == (True, [])


# --- the content of an archive ----------------------------------------------------------------------------------------


def a_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("Dockerfile", DOCKERFILE)
    return out.getvalue()


FILES = {"manifest.yaml": a_manifest(), "Dockerfile": DOCKERFILE}
ARCHIVES: Mapping[str, tuple[bytes, str]] = {
    "no archive": (b"noise", "CorruptContext"),
    "an empty file": (b"", "CorruptContext"),
    "a zip": (a_zip(), "CorruptContext"),
    "a cut-off archive": (GOOD[:-20], "CorruptContext"),
    "a gzip of noise": (gzip.compress(b"x" * 2000), "CorruptContext"),
    "a path that climbs": (a_tar_gz({**FILES, "../evil": "x"}), "InvalidContext"),
    "a symlink that leads out": (a_tar_gz(FILES, a_link("project", "/etc")), "UnsafeSymlink"),
    "no manifest": (a_tar_gz({"Dockerfile": DOCKERFILE}), "ManifestNotFound"),
    "no Dockerfile": (a_tar_gz({"manifest.yaml": a_manifest(), "project/acp.py": ""}), "DockerfileNotFound"),
    "a manifest that is no YAML": (a_tar_gz({**FILES, "manifest.yaml": "a: [b"}), "InvalidManifest"),
}


def holding(kind: str, archive: bytes, key: str = KEY) -> Object:
    member = "binaryData" if kind == "ConfigMap" else "data"
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "quote"},
            member: {key: base64.b64encode(archive).decode()}}


def held_by(kind: str) -> Object:
    return a_build(source={"configMapKeyRef" if kind == "ConfigMap" else "secretKeyRef": {"name": "quote", "key": KEY}})


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
async def test_an_object_and_a_key_that_are_missing_are_named_and_the_build_follows_once_they_are_there(
    harness: Harness, kind: str
) -> None:
    harness.apply(held_by(kind))
    await harness.wait("AgentBuild", "quote", says("Reconciling", "True", f"{kind}NotFound"))
    assert f"no {kind} 'quote'" in message(harness)

    harness.apply(holding(kind, GOOD, "other.tar.gz"))
    await harness.wait("AgentBuild", "quote", says("Stalled", "True", "KeyNotFound"))
    assert ("it has: other.tar.gz" in message(harness), posts(harness)) == (True, 0)

    harness.apply(holding(kind, GOOD))
    await harness.wait("AgentBuild", "quote")

    assert posts(harness) == 1


async def test_text_in_the_place_of_an_archive_is_named(harness: Harness) -> None:
    text = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "quote"}, "data": {KEY: "text"}}
    harness.apply(text, held_by("ConfigMap"))

    await harness.wait("AgentBuild", "quote", says("Stalled", "True", "InvalidContext"))

    assert ("binaryData" in message(harness), posts(harness)) == (True, 0)


@pytest.mark.parametrize(("kind", "archive"), samples.matrix(["ConfigMap", "Secret"], list(ARCHIVES), every=2))
async def test_an_archive_that_cannot_be_used_is_named_and_the_build_follows_once_it_can(
    harness: Harness, kind: str, archive: str
) -> None:
    content, reason = ARCHIVES[archive]
    harness.apply(holding(kind, content), held_by(kind))
    found = await harness.wait("AgentBuild", "quote", says("Stalled", "True", reason))
    assert (posts(harness), condition(found, "Ready")["status"]) == (0, "False")

    harness.apply(holding(kind, GOOD))
    await harness.wait("AgentBuild", "quote")

    assert posts(harness) == 1
