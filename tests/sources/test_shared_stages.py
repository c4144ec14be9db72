"""Equal stages at the same time are one; their number is bounded; what is cancelled stops."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from tests.sources.archives import AGENT, a_tar_gz
from tests.sources.servers import Server, serving
from tests.sources.support import (
    CONFIG_MAP,
    CONTENT,
    HERE,
    Slowly,
    a_namespace,
    encoded,
    left_behind,
    opened,
    over_http,
    until,
)

from agentex_operator.api.build import Context
from agentex_operator.api.sources import BuildSource, HttpSource
from agentex_operator.clock import Clock
from agentex_operator.core.errors import InvalidInput, Unavailable
from agentex_operator.sources import Sources
from agentex_operator.sources.limits import ContextLimits

DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@dataclass
class Gate:
    """A server that answers only when told to, and knows how many wait for it."""

    open: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0
    most: int = 0

    async def answer(self, _request: web.Request) -> web.Response:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await until(self.open.is_set)
        self.waiting -= 1
        return web.Response(body=CONTENT)

    async def has(self, count: int) -> None:
        await until(lambda: self.waiting >= count)


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[tuple[Gate, Server, Sources]]:
    gate = Gate()
    with (
        serving(gate.answer) as server,
        opened(tmp_path, allowed_hosts=frozenset({server.host}), limits=ContextLimits(at_once=2)) as sources,
    ):
        yield gate, server, sources
        gate.open.set()


async def test_equal_stagings_at_the_same_time_are_one(gate: tuple[Gate, Server, Sources], tmp_path: Path) -> None:
    door, server, sources = gate
    tasks = [asyncio.create_task(sources.stage("team", over_http(server), HERE, "quote")) for _ in range(5)]
    await door.has(1)
    door.open.set()
    staged = await asyncio.gather(*tasks)

    assert (len(server.asked), len({one.archive for one in staged})) == (1, 1)
    for one in staged:
        assert one.archive.exists()
        one.release()
    assert left_behind(tmp_path) == []


async def test_only_a_limited_number_is_staged_at_once(gate: tuple[Gate, Server, Sources]) -> None:
    door, server, sources = gate
    contexts = [Context(path="./" * number or ".") for number in range(6)]
    tasks = [asyncio.create_task(sources.stage("team", over_http(server), context, None)) for context in contexts]
    await door.has(2)
    await asyncio.sleep(0.1)
    door.open.set()
    for staged in await asyncio.gather(*tasks):
        staged.release()

    assert (door.most, len(server.asked)) == (2, 6)


@pytest.mark.parametrize("digest", [True, False], ids=["pinned", "moving"])
async def test_a_source_that_gets_no_slot_in_time_is_tried_again(tmp_path: Path, digest: bool) -> None:
    door, limits = Gate(), ContextLimits(at_once=1, longest_wait=0.05)
    with (
        serving(door.answer) as server,
        opened(tmp_path, allowed_hosts=frozenset({server.host}), limits=limits) as sources,
    ):
        slow, late = (BuildSource(http=HttpSource(url=f"{server.url}/{name}.tar.gz", digest=DIGEST if digest else None,
                                                  interval=None if digest else "1m")) for name in ("slow", "late"))
        first = asyncio.create_task(sources.stage("team", slow, HERE, None))
        await door.has(1)
        with pytest.raises(Unavailable, match="Other sources were being read"):
            await sources.stage("team", late, HERE, None)
        door.open.set()
        (await first).release()
        staged = await (sources.stage("team", late, HERE, None) if digest else
                        sources.resolve("team", late, Clock().monotonic()))

    assert (staged.revision, len(server.asked)) == (DIGEST, 2)


async def test_a_cancelled_waiter_does_not_disturb_the_others(gate: tuple[Gate, Server, Sources]) -> None:
    door, server, sources = gate
    leaver, stayer = [asyncio.create_task(sources.stage("team", over_http(server), HERE, None)) for _ in range(2)]
    await door.has(1)
    leaver.cancel()
    await asyncio.sleep(0.05)
    door.open.set()
    staged = await stayer

    assert (leaver.cancelled(), staged.archive.exists()) == (True, True)
    staged.release()


async def test_a_stage_without_waiters_stops_and_frees_its_slot(gate: tuple[Gate, Server, Sources],
                                                                               tmp_path: Path) -> None:
    door, server, sources = gate
    for _ in range(3):
        task = asyncio.create_task(sources.stage("team", over_http(server), HERE, None))
        await door.has(1)
        task.cancel()
        await asyncio.wait({task})
        await asyncio.sleep(0.05)
        door.waiting = 0

    assert left_behind(tmp_path) == []


async def test_a_staging_cancelled_in_its_thread_leaves_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, a_namespace(a_tar_gz(AGENT | {f"quote/{n}": "x" * 1000 for n in range(3000)}))) as sources:
        task = asyncio.create_task(sources.stage("team", CONFIG_MAP, HERE, None))
        await until(lambda: bool(left_behind(tmp_path)))
        task.cancel()
        await asyncio.wait({task})
        await until(lambda: not left_behind(tmp_path))


async def test_an_error_reaches_every_waiter(tmp_path: Path) -> None:
    with opened(tmp_path, a_namespace(b"x")) as sources:
        found = await asyncio.gather(*(sources.stage("team", CONFIG_MAP, HERE, None) for _ in range(3)),
                                     return_exceptions=True)

    assert [type(one) for one in found] == [InvalidInput] * 3


async def test_a_staging_whose_source_was_read_too_early_is_not_shared(tmp_path: Path) -> None:
    slow = Slowly(a_namespace().config_maps)
    with opened(tmp_path, slow) as sources:
        early = asyncio.create_task(sources.stage("team", CONFIG_MAP, HERE, None, 1.0))
        await until(lambda: bool(slow.asked))
        slow.config_maps["ctx"] = {"binaryData": {"c.tar.gz": encoded(a_tar_gz(AGENT | {"quote/new": ""}))}}
        late = [asyncio.create_task(sources.stage("team", CONFIG_MAP, HERE, None, 2.0)) for _ in range(2)]
        await until(lambda: len(slow.asked) > 1)
        slow.let.set()
        before, *after = await asyncio.gather(early, *late)

        assert slow.asked == [1.0, 2.0]
        assert [one.revision == before.revision for one in after] == [False, False]
        for one in (before, *after):
            one.release()
        assert left_behind(tmp_path) == []


async def test_a_stage_that_waits_for_a_slot_reads_as_late_as_its_last_waiter_requests(tmp_path: Path) -> None:
    slow = Slowly(a_namespace().config_maps)
    with opened(tmp_path, slow, limits=ContextLimits(at_once=1)) as sources:
        first = asyncio.create_task(sources.stage("team", CONFIG_MAP, Context(path="./."), None, 1.0))
        await until(lambda: bool(slow.asked))
        waiting = [asyncio.create_task(sources.stage("team", CONFIG_MAP, HERE, None, since)) for since in (2.0, 3.0)]
        await asyncio.sleep(0.05)
        slow.let.set()
        for one in await asyncio.gather(first, *waiting):
            one.release()

    assert slow.asked == [1.0, 3.0]
