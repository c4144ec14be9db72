"""Status by list: who is answered from which listing, who is woken, and what that costs the remote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.agentex.conftest import (
    ENVIRONMENT,
    Connect,
    Woken,
    a_build,
    a_deployment,
    a_manifest,
    an_interest,
    lists,
    some_builds,
    until,
)
from tests.clocks import HandClock, settle

from agentex_operator.agentex.accounts import AccountSession, builds_of, deployments_of
from agentex_operator.agentex.client import AgentexClient
from agentex_operator.agentex.inventory import Inventory
from agentex_operator.core.errors import Throttled, Unavailable
from agentex_operator.core.manifest import configuration_fingerprint
from agentex_operator.core.remote import BuildRecord, RemoteState
from agentex_simulator import SimulatorThread

DEPLOYMENTS = "/v5/agentex/deployments"
RESTING = timedelta(minutes=5)


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def inventory(client: AgentexClient, clock: HandClock, woken: Woken) -> Inventory[BuildRecord]:
    return Inventory(builds_of(client), clock, lambda: 0.5, woken.append)


@asynccontextmanager
async def polling(inventory: Inventory[BuildRecord], clock: HandClock) -> AsyncIterator[None]:
    task = asyncio.create_task(inventory.run())
    await settle()
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def poll(clock: HandClock, simulator: SimulatorThread, seconds: float) -> None:
    """Let the time pass, and the listing that it brings about end."""
    before = lists(simulator)
    await clock.advance(seconds)
    await until(lambda: lists(simulator) > before and simulator.calls()[-1]["status"])
    await asyncio.sleep(0.05)


# --- looking ------------------------------------------------------------------------------------------------------


async def test_200_askers_share_one_listing(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord], clock: HandClock
) -> None:
    builds = await some_builds(client, *(f"bot-{n}" for n in range(20)))

    shown = await asyncio.gather(
        *(inventory.look(an_interest(f"bot-{n % 20}"), fresh_since=clock.now()) for n in range(200))
    )

    assert [listing.records for listing in shown[:20]] == [(build,) for build in builds]
    assert lists(simulator) == 1


async def test_a_second_look_costs_nothing_while_it_is_fresh_enough(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord], clock: HandClock
) -> None:
    (build,) = await some_builds(client, "bot")
    await inventory.look(an_interest("bot"), fresh_since=None)
    began = clock.now()

    await clock.advance(4)
    recent = await inventory.look(an_interest("bot"), fresh_since=None)
    await inventory.look(an_interest("bot"), fresh_since=began)
    assert (recent.began_at, recent.reaches_back_to, recent.records) == (began, None, (build,))
    assert lists(simulator) == 1

    await inventory.look(an_interest("bot"), fresh_since=began + timedelta(seconds=1))
    await clock.advance(6)
    await inventory.look(an_interest("bot"), fresh_since=None)
    assert lists(simulator) == 3


async def test_what_was_not_kept_then_is_not_said_to_be_absent_now(
    simulator: SimulatorThread, client: AgentexClient, clock: HandClock
) -> None:
    inventory = Inventory(builds_of(client), clock, lambda: 0.5, Woken().append, keep=1)
    build, *_ = await some_builds(client, "bot", "other")
    await inventory.look(an_interest("somebody"), fresh_since=None)

    by_owner = await inventory.look(an_interest("bot"), fresh_since=None)
    by_id = await inventory.look(an_interest("adopted", build.id, "nobody"), fresh_since=None)

    assert by_owner.records == by_id.records == (build,)
    assert lists(simulator) == 3


async def test_a_small_account_is_kept_whole_so_that_a_restart_costs_one_listing(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord]
) -> None:
    builds = await some_builds(client, *(f"bot-{n}" for n in range(10)))

    shown = [
        await inventory.look(an_interest(build.agent_name, build.id), fresh_since=None) for build in builds
    ]

    assert [listing.records for listing in shown] == [(build,) for build in builds]
    assert lists(simulator) == 1


async def test_an_id_that_came_after_the_listing_is_listed_anew(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord]
) -> None:
    await inventory.look(an_interest("bot"), fresh_since=None)
    (build,) = await some_builds(client, "bot")

    shown = await inventory.look(an_interest("bot", build.id), fresh_since=None)

    assert shown.records == (build,)
    assert lists(simulator) == 2


async def test_an_asker_who_needs_a_later_listing_waits_for_the_next(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord], clock: HandClock
) -> None:
    simulator.fault("slow", header_delay=0.3, match={"method": "GET"})
    early = [asyncio.create_task(inventory.look(an_interest("bot"), fresh_since=None)) for _ in range(3)]
    await until(lambda: lists(simulator) == 1)
    await clock.advance(1)
    (build,) = await some_builds(client, "bot")

    joined = asyncio.create_task(inventory.look(an_interest("bot"), fresh_since=None))
    later = await asyncio.gather(*(inventory.look(an_interest("bot"), fresh_since=clock.now()) for _ in range(3)))

    assert {listing.began_at for listing in later} == {clock.now()}
    assert [listing.records for listing in later] == [(build,)] * 3
    assert len({(await look).began_at for look in [*early, joined]}) == 1
    assert lists(simulator) == 2


async def test_a_clock_that_was_set_back_or_forward_makes_no_listing_younger(
    simulator: SimulatorThread, inventory: Inventory[BuildRecord], clock: HandClock
) -> None:
    async def look_after_a_jump(hours: int) -> None:
        clock.now = lambda: early + timedelta(hours=hours)  # type: ignore[method-assign]  # that is the jump
        clock.seconds += 2
        await inventory.look(an_interest("bot"), fresh_since=clock.now() - timedelta(seconds=1))

    early = clock.now()
    await look_after_a_jump(0)
    await look_after_a_jump(-1)
    await look_after_a_jump(+2)

    assert lists(simulator) == 3


async def test_the_future_cannot_be_asked_for(inventory: Inventory[BuildRecord], clock: HandClock) -> None:
    shown = await inventory.look(an_interest("bot"), fresh_since=clock.now() + timedelta(hours=1))

    assert shown.began_at == clock.now()


async def test_an_error_reaches_every_asker_and_the_next_look_tries_again(
    simulator: SimulatorThread, inventory: Inventory[BuildRecord]
) -> None:
    simulator.fault("status", status=502)

    errors = await asyncio.gather(
        *(inventory.look(an_interest("bot"), fresh_since=None) for _ in range(3)), return_exceptions=True
    )
    shown = await inventory.look(an_interest("bot"), fresh_since=None)

    assert [type(error) for error in errors] == [Unavailable] * 3
    assert shown.records == ()
    assert lists(simulator) == 2


async def test_an_asker_who_gives_up_takes_nobody_along(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord]
) -> None:
    (build,) = await some_builds(client, "bot")
    simulator.fault("slow", header_delay=0.2, match={"method": "GET"})
    impatient, patient = (asyncio.create_task(inventory.look(an_interest("bot"), fresh_since=None)) for _ in range(2))
    await until(lambda: lists(simulator) == 1)

    impatient.cancel()

    assert (await patient).records == (build,)


async def test_an_account_that_goes_out_of_use_lets_its_askers_go(
    simulator: SimulatorThread, session: AccountSession
) -> None:
    simulator.fault("slow", header_delay=1, match={"method": "GET"})
    asker = asyncio.create_task(session.builds.look(an_interest("bot"), fresh_since=None))
    await until(lambda: lists(simulator) == 1)

    await session.stop()

    with pytest.raises(Unavailable, match="not in use"):
        await asker
    with pytest.raises(Unavailable, match="not in use"):
        await session.client.probe()


async def test_records_come_oldest_first_each_once_by_token_or_by_id(
    client: AgentexClient, inventory: Inventory[BuildRecord]
) -> None:
    first, foreign = await some_builds(client, "bot", "adopted")
    second = await client.create_build(a_build("bot", attempt=2, agent_name=None, agent_id=first.agent_id), None)

    shown = await inventory.look(an_interest("bot", foreign.id, second.id), fresh_since=None)

    assert shown.records == (first, foreign, second)


# --- depth --------------------------------------------------------------------------------------------------------


async def test_a_listing_goes_no_deeper_than_is_needed(
    simulator: SimulatorThread, client: AgentexClient, clock: HandClock
) -> None:
    inventory = Inventory(builds_of(client), clock, lambda: 0.5, Woken().append, limit=2)
    *_, fourth, _, _ = await some_builds(client, "a", "b", "c", "d", "e", "f")

    shallow = await inventory.look(an_interest("d", back_to=fourth.created_at), fresh_since=None)
    pages = lists(simulator)
    deep = await inventory.look(an_interest("a"), fresh_since=None)

    assert pages == 2
    assert shallow.reaches_back_to is not None
    assert shallow.reaches_back_to <= fourth.created_at
    assert (deep.reaches_back_to, [record.agent_name for record in deep.records]) == (None, ["a"])
    assert lists(simulator) == pages + 4  # and one that says there is no more


async def test_a_fast_poll_of_what_is_in_flight_does_not_page_through_the_years(
    simulator: SimulatorThread, client: AgentexClient, clock: HandClock, woken: Woken
) -> None:
    inventory = Inventory(builds_of(client), clock, lambda: 0.5, woken.append, limit=2)
    *_, old, _, _, _, young = await some_builds(client, *"abcdefgh")
    for name, record, every in (("d", old, RESTING), ("h", young, timedelta(seconds=5))):
        interest = an_interest(name, record.id, every=every)
        await inventory.look(interest, fresh_since=None)
        inventory.follow(name, interest)

    async with polling(inventory, clock):
        before = lists(simulator)
        for _ in range(5):
            await poll(clock, simulator, 5)
        assert lists(simulator) - before == 5

        simulator.actor("set-status", id=young.id, status="delete_failed")
        await poll(clock, simulator, 5)
        assert woken.taken() == ["h"]
        shown = await inventory.look(an_interest("h", young.id), fresh_since=None)
        assert shown.records[0].state is RemoteState.DELETED
        assert lists(simulator) - before == 6

        simulator.actor("set-status", id=old.id, status="delete_failed")
        await poll(clock, simulator, 300)
        await until(lambda: woken.taken() == ["d"])


async def test_of_a_large_account_only_what_is_wanted_is_kept(client: AgentexClient, clock: HandClock) -> None:
    inventory = Inventory(builds_of(client), clock, lambda: 0.5, Woken().append, limit=7, keep=10)
    bot, *_ = await some_builds(client, "bot", *(f"other-{n}" for n in range(30)))

    await inventory.look(an_interest("bot"), fresh_since=None)

    assert list(inventory._known._records) == [bot.id]
    assert (counts := inventory.counts()) is not None
    assert counts.of(RemoteState.SUCCEEDED) == 31
    assert inventory.agent_id("other-7") is not None


# --- following ----------------------------------------------------------------------------------------------------


async def followed(inventory: Inventory[BuildRecord], builds: list[BuildRecord], **wish: timedelta) -> None:
    """Each looked at and followed, as after a pass."""
    interests = {build.agent_name: an_interest(build.agent_name, build.id, **wish) for build in builds}
    for uid, interest in interests.items():
        inventory.follow(uid, interest)
    await asyncio.gather(*(inventory.look(interest, fresh_since=None) for interest in interests.values()))


async def test_only_those_whose_remote_changed_are_woken(
    simulator: SimulatorThread,
    client: AgentexClient,
    inventory: Inventory[BuildRecord],
    clock: HandClock,
    woken: Woken,
) -> None:
    builds = await some_builds(client, "a", "b", "c")
    await followed(inventory, builds)

    async with polling(inventory, clock):
        await poll(clock, simulator, 5)
        assert woken.taken() == []

        simulator.actor("delete-build", id=builds[1].id, status="deleting")
        await poll(clock, simulator, 5)
        assert woken.taken() == ["b"]

        await poll(clock, simulator, 5)
        assert woken.taken() == []


async def test_a_record_nobody_expected_wakes_its_owner(
    simulator: SimulatorThread,
    client: AgentexClient,
    inventory: Inventory[BuildRecord],
    clock: HandClock,
    woken: Woken,
) -> None:
    builds = await some_builds(client, "a", "b")
    await followed(inventory, builds)

    async with polling(inventory, clock):
        late = a_build("a", attempt=2, agent_name=None, agent_id=builds[0].agent_id)
        await client.create_build(late, None)
        await poll(clock, simulator, 5)

        assert woken.taken() == ["a"]


async def test_an_id_missing_from_the_list_wakes_its_owner_at_every_look(
    simulator: SimulatorThread,
    client: AgentexClient,
    inventory: Inventory[BuildRecord],
    clock: HandClock,
    woken: Woken,
) -> None:
    builds = await some_builds(client, "a", "b")
    await followed(inventory, builds)
    simulator.actor("archive-build", id=builds[0].id)

    async with polling(inventory, clock):
        for _ in range(2):
            await poll(clock, simulator, 5)
            assert woken.taken() == ["a"]

        simulator.actor("archive-build", id=builds[0].id, archived=False)
        await poll(clock, simulator, 5)
        assert woken.taken() == ["a"]
        await poll(clock, simulator, 5)
        assert woken.taken() == []


async def test_nothing_is_listed_while_nobody_is_interested(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord], clock: HandClock
) -> None:
    builds = await some_builds(client, "a")
    await followed(inventory, builds)

    async with polling(inventory, clock):
        inventory.forget("a")
        before = lists(simulator)
        await clock.advance(3600)

    assert lists(simulator) == before


async def test_resting_resources_cost_one_listing_in_five_minutes(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord], clock: HandClock
) -> None:
    builds = await some_builds(client, *(f"bot-{n}" for n in range(30)))
    await followed(inventory, builds, every=RESTING)
    before = lists(simulator)

    async with polling(inventory, clock):
        await clock.advance(299)
        assert lists(simulator) == before
        await poll(clock, simulator, 1)

    assert lists(simulator) == before + 1


async def test_a_new_wish_for_a_faster_look_is_heard_at_once(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord], clock: HandClock
) -> None:
    (build,) = await some_builds(client, "a")
    await followed(inventory, [build], every=RESTING)

    async with polling(inventory, clock):
        inventory.follow("a", an_interest("a", build.id, every=timedelta(seconds=2)))
        await settle()
        await poll(clock, simulator, 2)


async def test_errors_are_backed_off_from_and_polling_goes_on(
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

    async with polling(inventory, clock):
        for _ in range(30):
            await clock.advance(0.5)
            await asyncio.sleep(0.01)
        assert lists(simulator) - before == 4  # due at 5 s; again after 0.75, 1.5 and 3 s, at last after 6

        simulator.actor("set-status", id=builds[0].id, status="odd")
        await poll(clock, simulator, 10)
        await until(lambda: woken.taken() == ["a"])


async def test_polling_waits_out_retry_after(
    simulator: SimulatorThread, connect: Connect, clock: HandClock, woken: Woken
) -> None:
    client = connect(clock=clock).client
    inventory = Inventory(builds_of(client), clock, lambda: 0.5, woken.append)
    builds = await some_builds(client, "a")
    await followed(inventory, builds)
    simulator.fault("throttle", retry_after="120")

    async with polling(inventory, clock):
        await poll(clock, simulator, 5)
        before = lists(simulator)
        await clock.advance(119)
        with pytest.raises(Throttled):
            await inventory.look(an_interest("a"), fresh_since=clock.now())
        assert lists(simulator) == before
        await poll(clock, simulator, 1)


# --- deployments --------------------------------------------------------------------------------------------------


async def test_deployments_are_known_by_the_token_in_their_manifest(
    simulator: SimulatorThread, client: AgentexClient, clock: HandClock
) -> None:
    inventory = Inventory(deployments_of(client, configuration_fingerprint), clock, lambda: 0.5, Woken().append)
    (build,) = await some_builds(client, "bot")
    ours = await client.create_deployment(a_deployment(build.id, "uid-1", preview=True))
    await client.create_deployment(a_deployment(build.id, "uid-2"))

    shown = await inventory.look(replace(an_interest("x"), owner="cluster/uid-1"), fresh_since=None)

    assert [record.id for record in shown.records] == [ours.id]
    assert lists(simulator, DEPLOYMENTS) == 1
    assert (counts := inventory.counts()) is not None
    assert counts.previews == 1


async def test_a_deployment_without_its_token_is_known_by_its_configuration_where_that_is_asked_for(
    client: AgentexClient, clock: HandClock
) -> None:
    digested: list[str] = []

    def fingerprint(manifest: str, environments: str) -> str:
        digested.append(manifest)
        return f"{len(manifest)}-{len(environments)}"

    inventory = Inventory(deployments_of(client, fingerprint), clock, lambda: 0.5, Woken().append)
    (build,) = await some_builds(client, "bot")
    bare = await client.create_deployment(a_deployment(build.id, manifest_file=a_manifest()))
    await client.create_deployment(a_deployment(build.id, "uid-2"))
    plain = replace(an_interest("x"), owner="cluster/uid-1")

    without = await inventory.look(plain, fresh_since=None)
    wish = replace(plain, fingerprint=fingerprint(a_manifest(), ENVIRONMENT))
    digested.clear()
    found = [await inventory.look(wish, fresh_since=moment) for moment in (None, clock.now() + RESTING)]

    assert without.records == ()
    assert {record.id for listing in found for record in listing.records} == {bare.id}
    assert digested == [a_manifest()]
