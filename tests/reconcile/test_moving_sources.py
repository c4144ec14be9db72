"""An AgentBuild whose address has no digest: what is built when the content there changes, and what it costs."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from tests.reconcile.conftest import MakeHarness
from tests.sources.archives import a_tar_gz
from tests.sources.servers import Server, serving

from agentex_testkit.api_server import Object, condition, says
from agentex_testkit.builders import DOCKERFILE, a_build, a_context, a_manifest, from_build
from agentex_testkit.harness import Harness

AGENTS = [f"agent-{number}" for number in range(12)]
ENVIRONMENTS = {"inline": "schema_version: v1\nenvironments:\n  dev: {auth: {principal: {user_id: u-1}}, "
                          "kubernetes: {namespace: team-dev}}\n"}


def an_archive(code: str = "print()\n", notes: str = "") -> bytes:
    """The agents of one repository, each in a directory of its own, and notes that no build context includes."""
    files = {"quote/manifest.yaml": a_manifest(), "quote/Dockerfile": DOCKERFILE, "quote/project/acp.py": code,
             "NOTES.md": notes}
    for agent in AGENTS:
        files |= {f"{agent}/manifest.yaml": a_manifest(agent), f"{agent}/Dockerfile": DOCKERFILE,
                  f"{agent}/project/acp.py": "print()\n"}
    return a_tar_gz(files)


@dataclass
class Depot:
    """A server of one archive, which answers conditional requests while it is `open`. `sent`: archives that it sent."""

    body: bytes = field(default_factory=an_archive)
    status: int = 200
    sent: int = 0
    open: threading.Event = field(default_factory=threading.Event)
    server: Server = field(default_factory=Server)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        while not self.open.is_set():  # noqa: ASYNC110 - a test opens it from another thread
            await asyncio.sleep(0.005)
        etag = f'"{hashlib.sha256(self.body).hexdigest()}"'
        if self.status == 200 and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304)
        self.sent += self.status == 200
        return web.Response(status=self.status, body=self.body, headers={"ETag": etag})

    @property
    def revision(self) -> str:
        return f"sha256:{hashlib.sha256(self.body).hexdigest()}"

    def build(self, name: str = "quote", interval: str = "1m") -> Object:
        source = {"http": {"url": f"{self.server.url}/agents.tar.gz", "interval": interval}}
        return a_build(name, source=source, context={"path": name})


@pytest.fixture
def depot() -> Iterator[Depot]:
    found = Depot()
    found.open.set()
    with serving(found.answer) as found.server:
        yield found


@pytest.fixture
async def harness(make_harness: MakeHarness, depot: Depot) -> AsyncIterator[Harness]:
    made = make_harness(allowed_source_hosts=(depot.server.host,))
    async with made.running():
        await made.with_account()
        yield made


def posts(harness: Harness) -> int:
    return sum((call["method"], call["path"]) == ("POST", "/v5/builds") for call in harness.simulator.calls())


def revision(harness: Harness, name: str = "quote") -> str:
    return str(harness.status("AgentBuild", name)["source"]["revision"])


async def test_new_content_is_built_within_an_interval(harness: Harness, depot: Depot) -> None:
    harness.apply(depot.build())
    first = await harness.wait("AgentBuild", "quote")
    depot.body = an_archive(code="print('new')\n")

    await harness.until(lambda: revision(harness) == depot.revision, within=61)
    second = await harness.wait("AgentBuild", "quote")

    assert (posts(harness), first["status"]["image"] == second["status"]["image"]) == (2, False)


async def test_content_with_the_same_context_is_a_new_revision_and_no_new_build(harness: Harness, depot: Depot) -> None:
    harness.apply(depot.build())
    first = await harness.wait("AgentBuild", "quote")
    depot.body = an_archive(notes="read me")

    await harness.until(lambda: revision(harness) == depot.revision, within=61)
    await harness.advance(600)

    status = harness.status("AgentBuild", "quote")
    assert (posts(harness), status["buildID"]) == (1, first["status"]["buildID"])
    assert condition(harness.get("AgentBuild", "quote"), "Ready")["status"] == "True"


async def test_all_agents_of_one_repository_cost_one_request_an_interval_and_one_download(
    harness: Harness, depot: Depot
) -> None:
    harness.apply(*(depot.build(agent) for agent in AGENTS))
    for agent in AGENTS:
        await harness.wait("AgentBuild", agent)
    assert (depot.sent, posts(harness)) == (1, len(AGENTS))

    await harness.advance(120)
    asked = len(depot.server.asked)
    await harness.advance(600)

    assert 9 <= len(depot.server.asked) - asked <= 11
    assert (depot.sent, posts(harness)) == (1, len(AGENTS))


@pytest.mark.parametrize(("status", "reason"), [
    (404, "SourceNotFound"), (403, "SourceUnauthorized"), (418, "SourceRejected"), (503, "RemoteUnavailable")])
async def test_a_failing_look_keeps_the_image_and_the_revision_and_is_told_by_source_ready(
    harness: Harness, depot: Depot, status: int, reason: str
) -> None:
    harness.apply(depot.build())
    before = await harness.wait("AgentBuild", "quote")
    depot.status = status

    failed = await harness.wait("AgentBuild", "quote", says("SourceReady", "False", reason), within=61)

    assert condition(failed, "Ready")["status"] == "True"
    assert [failed["status"][name] for name in ("source", "image", "buildID")] == [
        before["status"][name] for name in ("source", "image", "buildID")]

    depot.status, depot.body = 200, an_archive(code="print('mended')\n")
    await harness.until(lambda: revision(harness) == depot.revision, within=400)
    await harness.wait("AgentBuild", "quote", says("SourceReady", "True", "Succeeded"))
    await harness.wait("AgentBuild", "quote")
    assert posts(harness) == 2


async def test_a_failing_look_is_not_repeated_more_often_than_every_30_seconds(harness: Harness, depot: Depot) -> None:
    depot.status = 503
    harness.apply(depot.build())
    await harness.wait("AgentBuild", "quote", says("Reconciling", "True", "RemoteUnavailable"))
    asked = len(depot.server.asked)

    await harness.advance(300)

    assert len(depot.server.asked) - asked <= 300 / 29


async def test_an_address_that_answers_slowly_holds_no_worker(make_harness: MakeHarness, depot: Depot) -> None:
    harness = make_harness(allowed_source_hosts=(depot.server.host,), workers=1)
    async with harness.running():
        await harness.with_account()
        depot.open.clear()
        harness.apply(*(depot.build(agent) for agent in AGENTS))
        await seen(lambda: len(depot.server.asked) == 1)
        harness.apply(a_context("other"), a_build("other"))
        await seen(lambda: posts(harness) == 1)
        depot.open.set()

        for agent in (*AGENTS, "other"):
            await harness.wait("AgentBuild", agent)
    assert len(depot.server.asked) == 1


async def seen(holds: Callable[[], bool]) -> None:
    """Wait, in real time, for something that happens while a server does not answer."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in other tasks and threads
            await asyncio.sleep(0.005)


async def test_a_requested_look_is_made_at_once(harness: Harness, depot: Depot) -> None:
    harness.apply(depot.build(interval="24h"))
    await harness.wait("AgentBuild", "quote")
    await harness.advance(7200)
    assert len(depot.server.asked) == 1
    depot.body = an_archive(code="print('new')\n")

    harness.annotate("AgentBuild", "quote", reconcile_requested_at="now")
    await harness.until(lambda: revision(harness) == depot.revision, within=10)

    await harness.wait("AgentBuild", "quote")
    assert posts(harness) == 2


async def test_after_a_restart_the_content_is_read_once_and_nothing_is_built_again(
    make_harness: MakeHarness, depot: Depot
) -> None:
    harness = make_harness(allowed_source_hosts=(depot.server.host,))
    async with harness.running():
        await harness.with_account()
        harness.apply(*(depot.build(agent) for agent in AGENTS))
        for agent in AGENTS:
            await harness.wait("AgentBuild", agent)

    async with harness.running():
        await harness.advance(120)

    assert (depot.sent, posts(harness)) == (2, len(AGENTS))


async def test_a_deployment_takes_the_manifest_of_the_content_that_was_built(harness: Harness, depot: Depot) -> None:
    harness.apply(depot.build(), from_build("quote", environments=ENVIRONMENTS))
    first = await harness.wait("AgentDeployment", "quote")
    depot.body = an_archive(code="print('new')\n")

    await harness.until(lambda: revision(harness) == depot.revision, within=61)
    await harness.until(lambda: harness.status("AgentDeployment", "quote")["buildID"] != first["status"]["buildID"])
    await harness.wait("AgentDeployment", "quote")

    assert (posts(harness), depot.sent) == (2, 2)
