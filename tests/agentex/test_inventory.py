"""Status by list: who is answered from which listing, and what that costs the remote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.agentex.conftest import (
    ENVIRONMENT,
    Woken,
    a_build,
    a_deployment,
    a_manifest,
    a_request,
    lists,
    some_builds,
    until,
)

from agentex_operator.agentex.build_records import BUILDS, builds_of
from agentex_operator.agentex.client import AgentexClient
from agentex_operator.agentex.coalescing import LONGEST_PAUSE
from agentex_operator.agentex.deployment_records import LIVE_PREVIEWS, deployments_of
from agentex_operator.agentex.inventory import Inventory, ListSizes
from agentex_operator.agentex.session import AccountSession
from agentex_operator.core.errors import Unavailable
from agentex_operator.core.fingerprint import configuration_fingerprint
from agentex_operator.core.remote import BuildRecord
from agentex_simulator import SimulatorThread
from agentex_testkit.clocks import HandClock

DEPLOYMENTS = "/v5/agentex/deployments"
RESTING = timedelta(minutes=5)


async def test_200_requests_share_one_listing(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord], clock: HandClock
) -> None:
    builds = await some_builds(client, *(f"bot-{n}" for n in range(20)))

    shown = await asyncio.gather(
        *(inventory.find(a_request(f"bot-{n % 20}"), fresh_since=clock.now()) for n in range(200))
    )

    assert [listing.records for listing in shown[:20]] == [(build,) for build in builds]
    assert lists(simulator) == 1


async def test_a_second_request_needs_no_listing_while_the_first_is_fresh_enough(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord], clock: HandClock
) -> None:
    (build,) = await some_builds(client, "bot")
    await inventory.find(a_request("bot"), fresh_since=None)
    began = clock.now()

    await clock.advance(4)
    recent = await inventory.find(a_request("bot"), fresh_since=None)
    await inventory.find(a_request("bot"), fresh_since=began)
    assert (recent.began_at, recent.reaches_back_to, recent.records) == (began, None, (build,))
    assert lists(simulator) == 1

    await inventory.find(a_request("bot"), fresh_since=began + timedelta(seconds=1))
    await clock.advance(6)
    await inventory.find(a_request("bot"), fresh_since=None)
    assert lists(simulator) == 3


async def test_a_record_that_was_not_cached_is_not_reported_absent(
    simulator: SimulatorThread, client: AgentexClient, clock: HandClock
) -> None:
    inventory = Inventory(builds_of(client), clock, lambda: 0.5, Woken().append, sizes=ListSizes(capacity=1))
    build, *_ = await some_builds(client, "bot", "other")
    await inventory.find(a_request("somebody"), fresh_since=None)

    by_owner = await inventory.find(a_request("bot"), fresh_since=None)
    by_id = await inventory.find(a_request("adopted", build.id, "nobody"), fresh_since=None)

    assert by_owner.records == by_id.records == (build,)
    assert lists(simulator) == 3


async def test_a_record_that_a_later_listing_dropped_is_listed_again(
    simulator: SimulatorThread, client: AgentexClient, clock: HandClock
) -> None:
    inventory = Inventory(builds_of(client), clock, lambda: 0.5, Woken().append, sizes=ListSizes(page=1, capacity=1))
    build, *_, youngest = await some_builds(client, "bot", "another", "other")
    resting = a_request("bot", every=RESTING)
    await inventory.find(resting, fresh_since=None)
    await clock.advance(1)
    await inventory.find(a_request("other", back_to=youngest.created_at), fresh_since=clock.now())

    shown = await inventory.find(resting, fresh_since=None)

    assert shown.records == (build,)


async def test_all_records_of_a_small_account_are_cached_so_that_a_restart_needs_one_listing(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord]
) -> None:
    builds = await some_builds(client, *(f"bot-{n}" for n in range(10)))

    shown = [
        await inventory.find(a_request(build.agent_name, build.id), fresh_since=None) for build in builds
    ]

    assert [listing.records for listing in shown] == [(build,) for build in builds]
    assert lists(simulator) == 1


async def test_an_id_created_after_the_listing_needs_another_listing(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord]
) -> None:
    await inventory.find(a_request("bot"), fresh_since=None)
    (build,) = await some_builds(client, "bot")

    shown = await inventory.find(a_request("bot", build.id), fresh_since=None)

    assert shown.records == (build,)
    assert lists(simulator) == 2


async def test_after_a_create_its_owner_is_answered_from_a_listing_that_began_later(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord]
) -> None:
    simulator.fault("slow", header_delay=0.3, match={"method": "GET"})
    early = asyncio.create_task(inventory.find(a_request("bot"), fresh_since=None))
    await until(lambda: lists(simulator) == 1)
    (build,) = await some_builds(client, "bot")
    inventory.note_create(a_request("bot").owner)

    shown = await inventory.find(a_request("bot"), fresh_since=None)
    await inventory.find(a_request("bot"), fresh_since=None)

    assert (shown.records, lists(simulator)) == ((build,), 2)
    await early


async def test_a_request_for_a_later_listing_waits_for_the_next_one(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord], clock: HandClock
) -> None:
    simulator.fault("slow", header_delay=0.3, match={"method": "GET"})
    early = [asyncio.create_task(inventory.find(a_request("bot"), fresh_since=None)) for _ in range(3)]
    await until(lambda: lists(simulator) == 1)
    await clock.advance(1)
    (build,) = await some_builds(client, "bot")

    joined = asyncio.create_task(inventory.find(a_request("bot"), fresh_since=None))
    asked = [asyncio.create_task(inventory.find(a_request("bot"), fresh_since=clock.now())) for _ in range(3)]
    await joined
    await clock.advance(LONGEST_PAUSE)
    later = await asyncio.gather(*asked)

    assert {listing.began_at for listing in later} == {clock.now()}
    assert [listing.records for listing in later] == [(build,)] * 3
    assert len({(await look).began_at for look in [*early, joined]}) == 1
    assert lists(simulator) == 2


async def test_a_request_that_the_cache_answers_waits_for_nothing(
    inventory: Inventory[BuildRecord], clock: HandClock
) -> None:
    waits: list[str] = []

    @asynccontextmanager
    async def waiting() -> AsyncIterator[None]:
        waits.append("begin")
        yield
        waits.append("end")

    await inventory.find(a_request("bot"), fresh_since=clock.now(), waiting=waiting)
    assert waits == ["begin", "end"]
    await inventory.find(a_request("bot"), fresh_since=clock.now(), waiting=waiting)
    assert waits == ["begin", "end"]


async def test_a_clock_that_was_set_back_or_forward_makes_no_listing_younger(
    simulator: SimulatorThread, inventory: Inventory[BuildRecord], clock: HandClock
) -> None:
    async def look_after_a_jump(hours: int) -> None:
        clock.now = lambda: early + timedelta(hours=hours)  # type: ignore[method-assign]  # that is the jump
        clock.seconds += 2
        await inventory.find(a_request("bot"), fresh_since=clock.now() - timedelta(seconds=1))

    early = clock.now()
    await look_after_a_jump(0)
    await look_after_a_jump(-1)
    await look_after_a_jump(+2)

    assert lists(simulator) == 3


async def test_a_clock_set_forward_after_an_intent_makes_no_older_listing_fresh_enough(
    simulator: SimulatorThread, inventory: Inventory[BuildRecord], clock: HandClock
) -> None:
    await inventory.find(a_request("bot"), fresh_since=None)
    await clock.advance(10)
    noted = clock.now()
    jumped = noted + timedelta(hours=2)
    clock.now = lambda: jumped  # type: ignore[method-assign]  # that is the jump

    await inventory.find(a_request("bot"), fresh_since=noted)

    assert lists(simulator) == 2


async def test_a_request_for_future_records_is_answered_as_of_now(
    inventory: Inventory[BuildRecord], clock: HandClock
) -> None:
    shown = await inventory.find(a_request("bot"), fresh_since=clock.now() + timedelta(hours=1))

    assert shown.began_at == clock.now()


async def test_an_error_reaches_every_request_and_the_next_request_lists_again(
    simulator: SimulatorThread, inventory: Inventory[BuildRecord]
) -> None:
    simulator.fault("status", status=502)

    errors = await asyncio.gather(
        *(inventory.find(a_request("bot"), fresh_since=None) for _ in range(3)), return_exceptions=True
    )
    shown = await inventory.find(a_request("bot"), fresh_since=None)

    assert [type(error) for error in errors] == [Unavailable] * 3
    assert shown.records == ()
    assert lists(simulator) == 2


async def test_a_cancelled_request_does_not_cancel_the_others(
    simulator: SimulatorThread, client: AgentexClient, inventory: Inventory[BuildRecord]
) -> None:
    (build,) = await some_builds(client, "bot")
    simulator.fault("slow", header_delay=0.2, match={"method": "GET"})
    impatient, patient = (asyncio.create_task(inventory.find(a_request("bot"), fresh_since=None)) for _ in range(2))
    await until(lambda: lists(simulator) == 1)

    impatient.cancel()

    assert (await patient).records == (build,)


async def test_requests_end_with_unavailable_when_the_account_is_stopped(
    simulator: SimulatorThread, session: AccountSession
) -> None:
    simulator.fault("slow", header_delay=1, match={"method": "GET"})
    asker = asyncio.create_task(session.inventory(BUILDS).find(a_request("bot"), fresh_since=None))
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

    shown = await inventory.find(a_request("bot", foreign.id, second.id), fresh_since=None)

    assert shown.records == (first, foreign, second)


# --- deployments --------------------------------------------------------------------------------------------------


async def test_deployments_are_found_by_the_token_in_their_manifest(
    simulator: SimulatorThread, client: AgentexClient, clock: HandClock
) -> None:
    inventory = Inventory(deployments_of(client, configuration_fingerprint), clock, lambda: 0.5, Woken().append)
    (build,) = await some_builds(client, "bot")
    ours = await client.create_deployment(a_deployment(build.id, "uid-1", preview=True))
    await client.create_deployment(a_deployment(build.id, "uid-2"))

    shown = await inventory.find(replace(a_request("x"), owner="cluster/uid-1"), fresh_since=None)

    assert [record.id for record in shown.records] == [ours.id]
    assert lists(simulator, DEPLOYMENTS) == 1
    assert (counts := inventory.counts()) is not None
    assert counts.in_group(LIVE_PREVIEWS) == 1


async def test_a_deployment_without_a_token_is_found_by_its_fingerprint_if_that_is_requested(
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
    plain = replace(a_request("x"), owner="cluster/uid-1")

    without = await inventory.find(plain, fresh_since=None)
    wish = replace(plain, fingerprint=fingerprint(a_manifest(), ENVIRONMENT))
    digested.clear()
    found = [await inventory.find(wish, fresh_since=moment) for moment in (None, clock.now() + RESTING)]

    assert without.records == ()
    assert {record.id for listing in found for record in listing.records} == {bare.id}
    assert digested == [a_manifest()]
