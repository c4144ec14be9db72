"""A storage that is put back to an older copy under a running operator is found, and a new process mends the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.reconcile.conftest import MakeHarness

from agentex_operator.bootstrap import BUILT_IN_KINDS
from agentex_operator.core.errors import Unavailable
from agentex_operator.kube.kinds import AGENT_BUILD
from agentex_operator.reconcile.engine import Engine
from agentex_operator.reconcile.storage_check import StorageCheck
from agentex_testkit.api_server import ready
from agentex_testkit.builders import an_image
from agentex_testkit.fake_cluster.faults import Fault
from agentex_testkit.harness import Harness


@asynccontextmanager
async def checked(harness: Harness, engine: Engine) -> AsyncIterator[asyncio.Task[None]]:
    """The check, at work beside the operator."""
    check = StorageCheck(engine, harness.cluster, harness.clock, BUILT_IN_KINDS.kinds, None)
    task = asyncio.create_task(check.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def test_a_restored_storage_is_found_and_the_next_process_adopts_what_was_built(
    make_harness: MakeHarness
) -> None:
    harness = make_harness()
    async with harness.running() as engine:
        await harness.with_account()
        harness.apply(an_image())
        before_the_build = harness.cluster.store.snapshot()
        await harness.wait("AgentBuild", "quote")
        async with checked(harness, engine) as check:
            harness.cluster.restore(before_the_build)
            assert not ready(harness.get("AgentBuild", "quote"))
            await harness.until(check.done)
            with pytest.raises(Unavailable, match=r"has version \d+, after \d+ was read: .* restored from an older"):
                await check

    async with harness.running():
        await harness.wait("AgentBuild", "quote")

    assert harness.creates(harness.owner("AgentBuild", "quote")) == 1


async def test_a_storage_that_has_lost_every_object_is_found_by_the_versions_of_lists(harness: Harness) -> None:
    empty = harness.cluster.store.snapshot()
    harness.apply(an_image("another"))
    await harness.wait("AgentBuild", "another")
    assert harness.engine is not None
    async with checked(harness, harness.engine) as check:
        harness.cluster.restore(empty)
        await harness.until(check.done, within=60)

    with pytest.raises(Unavailable, match=r"are listed at version \d+, after \d+ was read"):
        await check


async def test_a_list_that_is_older_than_our_last_write_is_no_evidence(harness: Harness) -> None:
    harness.apply(an_image())
    early = harness.get("AgentBuild", "quote")
    assert early is not None
    await harness.wait("AgentBuild", "quote")
    assert harness.engine is not None
    async with checked(harness, harness.engine) as check:
        harness.engine.observe("AgentBuild", None, early)
        await harness.advance(120)

        assert not check.done()


@pytest.mark.parametrize("error", [Unavailable("away"), RuntimeError("nobody listed this")], ids=["away", "a bug"])
async def test_a_check_that_fails_is_no_evidence_and_is_repeated(harness: Harness, error: Exception) -> None:
    empty = harness.cluster.store.snapshot()
    harness.apply(an_image())
    await harness.wait("AgentBuild", "quote")
    assert harness.engine is not None
    async with checked(harness, harness.engine) as check:
        away = harness.cluster.fail(Fault("list", AGENT_BUILD, error=error, times=2))
        await harness.until(lambda: away.happened == 2, within=120)
        assert not check.done()

        harness.cluster.restore(empty)
        await harness.until(check.done, within=60)
