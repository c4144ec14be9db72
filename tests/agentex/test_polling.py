"""Polling: who is woken by what, how often the remote is asked, and how deep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from tests.agentex.conftest import (
    Connect,
    Woken,
    a_build,
    a_request,
    lists,
    some_builds,
    until,
)

from agentex_operator.agentex.build_records import builds_of
from agentex_operator.agentex.client import AgentexClient
from agentex_operator.agentex.coalescing import LONGEST_PAUSE
from agentex_operator.agentex.inventory import Inventory, ListSizes
from agentex_operator.core.errors import Throttled
from agentex_operator.core.remote import BuildRecord, RemoteState
from agentex_simulator import SimulatorThread
from agentex_testkit.clocks import HandClock, run_ready_tasks

RESTING = timedelta(minutes=5)


@asynccontextmanager
async def polling(
    inventory: Inventory[BuildRecord], clock: HandClock, simulator: SimulatorThread
) -> AsyncIterator[Callable[[float], Awaitable[None]]]:
    """Poll; what is given lets so many seconds pass, and the listing that they bring about end."""

    async def poll(seconds: float) -> None:
        before = lists(simulator)
        await clock.advance(seconds)
        await until(lambda: lists(simulator) > before and inventory.idle)
        await run_ready_tasks()

    task = asyncio.create_task(inventory.run())
    await run_ready_tasks()
    try:
        yield poll
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def followed(inventory: Inventory[BuildRecord], builds: list[BuildRecord], **wish: timedelta) -> None:
    """Each looked at and followed, as after a pass."""
    requests = {build.agent_name: a_request(build.agent_name, build.id, **wish) for build in builds}
    for uid, request in requests.items():
        inventory.follow(uid, request)
    await asyncio.gather(*(inventory.find(request, fresh_since=None) for request in requests.values()))


async def test_only_resources_with_changed_records_are_woken(
    simulator: SimulatorThread,
    client: AgentexClient,
    inventory: Inventory[BuildRecord],
    clock: HandClock,
    woken: Woken,
) -> None:
    builds = await some_builds(client, "a", "b", "c")
    await followed(inventory, builds)

    async with polling(inventory, clock, simulator) as poll:
        await poll(5)
        assert woken.taken() == []

        simulator.actor("delete-build", id=builds[1].id, status="deleting")
        await poll(5)
        assert woken.taken() == ["b"]

        await poll(5)
        assert woken.taken() == []


async def test_a_resource_that_requested_the_listing_is_not_woken_by_it(
    simulator: SimulatorThread,
    client: AgentexClient,
    inventory: Inventory[BuildRecord],
    clock: HandClock,
    woken: Woken,
) -> None:
    builds = await some_builds(client, "a", "b")
    await followed(inventory, builds)
    for build in builds:
        simulator.actor("set-status", id=build.id, status="odd")

    await inventory.find(a_request("a", builds[0].id), fresh_since=clock.now() + timedelta(seconds=1))
    await clock.advance(1)
    await inventory.find(a_request("a", builds[0].id), fresh_since=clock.now())

    assert woken.taken() == ["b"]


async def test_an_unexpected_record_wakes_its_owner(
    simulator: SimulatorThread,
    client: AgentexClient,
    inventory: Inventory[BuildRecord],
    clock: HandClock,
    woken: Woken,
) -> None:
    builds = await some_builds(client, "a", "b")
    await followed(inventory, builds)

    async with polling(inventory, clock, simulator) as poll:
        late = a_build("a", attempt=2, agent_name=None, agent_id=builds[0].agent_id)
        await client.create_build(late, None)
        await poll(5)

        assert woken.taken() == ["a"]


async def test_an_id_missing_from_the_list_wakes_its_owner_at_every_listing(
    simulator: SimulatorThread,
    client: AgentexClient,
    inventory: Inventory[BuildRecord],
    clock: HandClock,
    woken: Woken,
) -> None:
    builds = await some_builds(client, "a", "b")
    await followed(inventory, builds)
    simulator.actor("archive-build", id=builds[0].id)

    async with polling(inventory, clock, simulator) as poll:
        for _ in range(2):
            await poll(5)
            assert woken.taken() == ["a"]

        simulator.actor("archive-build", id=builds[0].id, archived=False)
        await poll(5)
        assert woken.taken() == ["a"]
        await poll(5)
        assert woken.taken() == []


async def test_nothing_is_listed_without_followers(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord], clock: HandClock
) -> None:
    builds = await some_builds(client, "a")
    await followed(inventory, builds)

    async with polling(inventory, clock, simulator):
        inventory.unfollow("a")
        before = lists(simulator)
        await clock.advance(3600)

    assert lists(simulator) == before


async def test_resting_resources_cost_one_listing_in_five_minutes(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord], clock: HandClock
) -> None:
    builds = await some_builds(client, *(f"bot-{n}" for n in range(30)))
    await followed(inventory, builds, every=RESTING)
    before = lists(simulator)

    async with polling(inventory, clock, simulator) as poll:
        await clock.advance(299)
        assert lists(simulator) == before
        await poll(1)

    assert lists(simulator) == before + 1


async def test_a_shorter_interval_takes_effect_at_once(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord], clock: HandClock
) -> None:
    (build,) = await some_builds(client, "a")
    await followed(inventory, [build], every=RESTING)

    async with polling(inventory, clock, simulator) as poll:
        inventory.follow("a", a_request("a", build.id, every=timedelta(seconds=2)))
        await run_ready_tasks()
        await poll(2)


async def test_a_longer_interval_takes_effect_after_the_listing_that_was_due(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord], clock: HandClock
) -> None:
    (build,) = await some_builds(client, "a")
    await followed(inventory, [build])

    async with polling(inventory, clock, simulator) as poll:
        await poll(5)
        inventory.follow("a", a_request("a", build.id, every=RESTING))
        await poll(5)
        before = lists(simulator)
        await clock.advance(299)
        assert lists(simulator) == before
        await poll(1)


async def test_polling_continues_with_backoff_after_errors(
    simulator: SimulatorThread,
    client: AgentexClient,
    inventory: Inventory[BuildRecord],
    clock: HandClock,
    woken: Woken,
) -> None:
    builds = await some_builds(client, "a")
    await followed(inventory, builds)
    simulator.fault("outage", match={"method": "GET"}, count=4)
    before = lists(simulator)

    async with polling(inventory, clock, simulator) as poll:
        for _ in range(30):
            await clock.advance(0.5)
            await asyncio.sleep(0.01)
        assert lists(simulator) - before == 4  # due at 5 s; again after 0.75, 1.5 and 3 s, at last after 6

        simulator.actor("set-status", id=builds[0].id, status="odd")
        await poll(10)
        await until(lambda: woken.taken() == ["a"])


async def test_polling_waits_out_retry_after(
    simulator: SimulatorThread, connect: Connect, clock: HandClock, woken: Woken
) -> None:
    client = connect(clock=clock).client
    inventory = Inventory(builds_of(client), clock, lambda: 0.5, woken.append)
    builds = await some_builds(client, "a")
    await followed(inventory, builds)
    simulator.fault("throttle", retry_after="120")

    async with polling(inventory, clock, simulator) as poll:
        await poll(5)
        before = lists(simulator)
        await clock.advance(119)
        with pytest.raises(Throttled):
            await inventory.find(a_request("a"), fresh_since=clock.now())
        assert lists(simulator) == before
        await poll(1)


# --- depth --------------------------------------------------------------------------------------------------------


async def test_a_listing_goes_no_deeper_than_is_needed(
    simulator: SimulatorThread, client: AgentexClient, clock: HandClock
) -> None:
    inventory = Inventory(builds_of(client), clock, lambda: 0.5, Woken().append, sizes=ListSizes(page=2))
    *_, fourth, _, _ = await some_builds(client, "a", "b", "c", "d", "e", "f")

    shallow = await inventory.find(a_request("d", back_to=fourth.created_at), fresh_since=None)
    pages = lists(simulator)
    deep = await inventory.find(a_request("a"), fresh_since=None)

    assert pages == 2
    assert shallow.reaches_back_to is not None
    assert shallow.reaches_back_to <= fourth.created_at
    assert (deep.reaches_back_to, [record.agent_name for record in deep.records]) == (None, ["a"])
    assert lists(simulator) == pages + 4  # and one that says there is no more


async def test_a_frequent_poll_of_running_objects_does_not_read_old_pages(
    simulator: SimulatorThread, client: AgentexClient, clock: HandClock, woken: Woken
) -> None:
    inventory = Inventory(builds_of(client), clock, lambda: 0.5, woken.append, sizes=ListSizes(page=2))
    *_, old, _, _, _, young = await some_builds(client, *"abcdefgh")
    for name, record, every in (("d", old, RESTING), ("h", young, timedelta(seconds=5))):
        request = a_request(name, record.id, every=every)
        await inventory.find(request, fresh_since=None)
        inventory.follow(name, request)

    async with polling(inventory, clock, simulator) as poll:
        before = lists(simulator)
        for _ in range(5):
            await poll(5)
        assert lists(simulator) - before == 5

        simulator.actor("set-status", id=young.id, status="delete_failed")
        await poll(5)
        assert woken.taken() == ["h"]
        shown = await inventory.find(a_request("h", young.id), fresh_since=None)
        assert shown.records[0].state is RemoteState.DELETED
        assert lists(simulator) - before == 6

        simulator.actor("set-status", id=old.id, status="delete_failed")
        before = lists(simulator)
        await clock.advance(300)
        await until(lambda: lists(simulator) > before)
        await poll(LONGEST_PAUSE)  # the listing during which the clock leapt seems to have taken long
        await until(lambda: woken.taken() == ["d"])


async def test_of_a_large_account_only_requested_records_are_cached(client: AgentexClient, clock: HandClock) -> None:
    inventory = Inventory(builds_of(client), clock, lambda: 0.5, Woken().append, sizes=ListSizes(7, 10))
    bot, *_ = await some_builds(client, "bot", *(f"other-{n}" for n in range(30)))

    await inventory.find(a_request("bot"), fresh_since=None)

    assert list(inventory._cache.ids) == [bot.id]
    assert (counts := inventory.counts()) is not None
    assert counts.of(RemoteState.SUCCEEDED) == 31
    assert inventory.agent_id("other-7") is not None


