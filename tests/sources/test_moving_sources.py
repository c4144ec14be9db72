"""An address without a digest: looked at once an interval for all who name it, and what is found there is built."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sources.archives import AGENT, a_tar_gz
from tests.sources.servers import Server, serving
from tests.sources.support import CONTENT, HERE, Namespace, a_namespace, encoded, opened

from agentex_operator.api.references import NameRef
from agentex_operator.api.sources import BuildSource, HttpSource
from agentex_operator.core.errors import ExternalError, NotReady, Unavailable
from agentex_operator.sources import Sources
from agentex_operator.sources.limits import ContextLimits
from agentex_testkit.clocks import HandClock

OTHER = a_tar_gz(AGENT | {"quote/new.py": "print()\n"})
MINUTE = 60.0


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Depot:
    """A server whose answer a test sets. `etags`: whether it gives validators; `sent`: bodies that were sent."""

    body: bytes = CONTENT
    status: int = 200
    etags: bool = True
    sent: int = 0
    conditions: list[str | None] = field(default_factory=list)
    server: Server = field(default_factory=Server)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.conditions.append(request.headers.get("If-None-Match"))
        etag = f'"{hashlib.sha256(self.body).hexdigest()}"'
        if self.status == 200 and self.etags and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304)
        self.sent += self.status == 200
        await asyncio.sleep(0.01)
        return web.Response(status=self.status, body=self.body, headers={"ETag": etag} if self.etags else {})

    def source(self, interval: str = "1m", secret: str | None = None, path: str = "/c.tar.gz") -> BuildSource:
        ref = NameRef(name=secret) if secret else None
        return BuildSource(http=HttpSource(url=self.server.url + path, interval=interval, secret_ref=ref))


@dataclass
class Scene:
    """The sources of an operator, beside the clock that counts their intervals."""

    depot: Depot
    sources: Sources
    clock: HandClock
    namespace: Namespace

    async def revision(self, source: BuildSource, since: float = 0.0) -> str:
        return (await self.sources.resolve("team", source, since)).revision

    async def staged(self, source: BuildSource) -> tuple[str, str]:
        """The revision and the working tree hash of a staged context."""
        found = await self.sources.stage("team", source, HERE, None, self.clock.monotonic())
        found.release()
        return found.revision, found.context_digest


@pytest.fixture
def depot() -> Iterator[Depot]:
    found = Depot()
    with serving(found.answer) as found.server:
        yield found


@pytest.fixture
def scene(depot: Depot, tmp_path: Path) -> Iterator[Scene]:
    yield from a_scene(depot, tmp_path)


def a_scene(depot: Depot, tmp_path: Path, **options: Any) -> Iterator[Scene]:
    clock, namespace = HandClock(), a_namespace()
    with opened(tmp_path, namespace, allowed_hosts=frozenset({depot.server.host}), clock=clock, **options) as sources:
        yield Scene(depot, sources, clock, namespace)


async def test_an_address_is_asked_once_an_interval_and_its_content_is_the_revision(scene: Scene) -> None:
    source = scene.depot.source()

    found = [await scene.revision(source) for _ in range(5)]
    scene.depot.body = OTHER
    scene.clock.seconds += MINUTE / 2
    found.append(await scene.revision(source))
    scene.clock.seconds += MINUTE / 2
    found.append(await scene.revision(source))

    due = (await scene.sources.resolve("team", source)).due

    assert (found, due) == ([digest_of(CONTENT)] * 6 + [digest_of(OTHER)], timedelta(seconds=MINUTE))
    assert len(scene.depot.server.asked) == 2


@pytest.mark.parametrize("etags", [True, False])
async def test_the_same_content_is_sent_again_only_by_a_server_without_validators(scene: Scene, etags: bool) -> None:
    scene.depot.etags = etags
    source = scene.depot.source()

    for _ in range(4):
        assert await scene.revision(source) == digest_of(CONTENT)
        scene.clock.seconds += MINUTE

    assert (len(scene.depot.server.asked), scene.depot.sent) == (4, 1 if etags else 4)


async def test_all_who_name_an_address_share_one_download_whatever_they_build_of_it(scene: Scene) -> None:
    sources = [scene.depot.source(interval) for interval in ("1m", "5m", "24h")] * 10

    resolved = await asyncio.gather(*(scene.revision(source) for source in sources))
    staged = await asyncio.gather(*(scene.staged(source) for source in sources))

    assert {*resolved, *(revision for revision, _ in staged)} == {digest_of(CONTENT)}
    assert (len(scene.depot.server.asked), len({context for _, context in staged})) == (1, 1)


async def test_other_credentials_and_other_addresses_are_looked_at_apart(scene: Scene) -> None:
    scene.namespace.secrets["other"] = {"data": {"bearerToken": encoded("canary-2")}}
    for source in (scene.depot.source(), scene.depot.source(secret="token"), scene.depot.source(secret="other"),
                   scene.depot.source(path="/d.tar.gz")):
        await scene.revision(source)

    assert scene.depot.server.asked == [("/c.tar.gz", None), ("/c.tar.gz", "Bearer canary"),
                                        ("/c.tar.gz", "Bearer canary-2"), ("/d.tar.gz", None)]


async def test_a_changed_credential_is_used_at_once(scene: Scene) -> None:
    source = scene.depot.source(secret="token")
    await scene.revision(source)
    scene.namespace.secrets["token"] = {"data": {"username": encoded("u"), "password": encoded("p")}}
    await scene.revision(source)

    assert [header for _, header in scene.depot.server.asked] == ["Bearer canary", "Basic dTpw"]


async def test_a_look_that_fails_is_not_repeated_at_once_and_the_next_good_one_ends_the_failure(scene: Scene) -> None:
    source = scene.depot.source()
    before = await scene.revision(source)
    scene.clock.seconds += MINUTE
    scene.depot.status = 404
    for _ in range(5):
        with pytest.raises(NotReady, match="does not exist"):
            await scene.revision(source)
    assert len(scene.depot.server.asked) == 2

    scene.depot.status = 200
    scene.clock.seconds += MINUTE / 2

    assert (await scene.revision(source), scene.depot.conditions[-1]) == (before, f'"{digest_of(CONTENT)[7:]}"')


async def test_a_requested_look_waits_neither_for_the_interval_nor_for_the_end_of_a_failure(scene: Scene) -> None:
    source = scene.depot.source("24h")
    await scene.revision(source)
    scene.clock.seconds += 1
    scene.depot.status = 503
    with pytest.raises(Unavailable):
        await scene.revision(source, since=scene.clock.monotonic())

    scene.depot.status, scene.depot.body = 200, OTHER
    scene.clock.seconds += 1

    assert await scene.revision(source, since=scene.clock.monotonic()) == digest_of(OTHER)


async def test_an_archive_that_made_room_for_another_is_downloaded_again(depot: Depot, tmp_path: Path) -> None:
    for scene in a_scene(depot, tmp_path, limits=ContextLimits(kept=1)):
        first, second = depot.source(), depot.source(path="/d.tar.gz")
        await scene.revision(first)
        depot.body = OTHER
        await scene.revision(second)
        depot.body = CONTENT

        assert [(await scene.staged(one))[0] for one in (first, second, second)] == [
            digest_of(CONTENT), digest_of(CONTENT), digest_of(CONTENT)]
        assert depot.sent == 4
        assert len(list((tmp_path / "work").glob("run-*/sources/*"))) == 1


async def test_the_last_who_waits_ends_the_look_and_nothing_stays(scene: Scene, tmp_path: Path) -> None:
    source = scene.depot.source()
    waiting = [asyncio.ensure_future(scene.revision(source)) for _ in range(3)]
    await asyncio.sleep(0)
    for one in waiting[:2]:
        one.cancel()

    assert await waiting[2] == digest_of(CONTENT)

    scene.clock.seconds += MINUTE
    last = asyncio.ensure_future(scene.revision(source))
    await asyncio.sleep(0)
    last.cancel()
    await asyncio.gather(last, return_exceptions=True)

    assert await scene.revision(source) == digest_of(CONTENT)
    assert list((tmp_path / "work").glob("run-*/scratch-*")) == []


STEPS = st.lists(st.one_of(
    st.tuples(st.just("publish"), st.sampled_from([CONTENT, OTHER])),
    st.tuples(st.just("answer"), st.sampled_from([200, 404])),
    st.tuples(st.just("pass"), st.sampled_from([1.0, 29.0, 30.0, 59.0, 60.0, 3600.0])),
    st.tuples(st.just("look"), st.sampled_from(["1m", "5m"]))), max_size=20)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, etags=st.booleans())
def test_a_revision_is_what_was_there_at_most_an_interval_ago(depot: Depot, tmp_path: Path, steps: list[Any],
                                                             etags: bool) -> None:
    depot.body, depot.status, depot.etags = CONTENT, 200, etags

    async def run() -> None:
        for scene in a_scene(depot, tmp_path):
            history = [(scene.clock.seconds, CONTENT, 200)]
            for step, value in steps:
                if step == "pass":
                    scene.clock.seconds += value
                elif step == "look":
                    await looked(scene, value, history)
                else:
                    depot.body = value if step == "publish" else depot.body
                    depot.status = value if step == "answer" else depot.status
                    history.append((scene.clock.seconds, depot.body, depot.status))

    asyncio.run(run())


async def looked(scene: Scene, interval: str, history: list[tuple[float, bytes, int]]) -> None:
    """Look, and compare with everything that was there within the interval, or since the last failure."""
    oldest = scene.clock.seconds - (MINUTE if interval == "1m" else 5 * MINUTE)
    before = [(body, status) for at, body, status in history if at <= oldest][-1:]
    latest = before + [(body, status) for at, body, status in history if at > oldest]
    try:
        found = await scene.revision(scene.depot.source(interval))
    except ExternalError:
        assert any(status == 404 for _, status in latest)
        return
    assert found in {digest_of(body) for body, status in latest if status == 200}
