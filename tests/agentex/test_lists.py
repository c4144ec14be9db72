"""Lists that misbehave: the walk gets to the end, or says that it could not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tests.agentex.conftest import LONG_AGO, Woken, a_request, lists, some_builds

from agentex_operator.agentex.build_records import builds_of
from agentex_operator.agentex.client import AgentexClient
from agentex_operator.agentex.inventory import Inventory, ListSizes
from agentex_operator.agentex.record_kind import RecordKind
from agentex_operator.agentex.scan import PAGE_CAP, FetchPage, Scan
from agentex_operator.agentex.transport import AnswerTooLarge
from agentex_operator.agentex.wire import UNDATED, Page, build_record
from agentex_operator.core.errors import Rejected, Unavailable
from agentex_operator.core.remote import BuildRecord
from agentex_simulator import SimulatorThread
from agentex_testkit.clocks import HandClock

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture
async def five(client: AgentexClient) -> list[str]:
    """Ids of five builds, newest first."""
    return [build.id for build in reversed(await some_builds(client, *NAMES))]


async def walked(client: AgentexClient, limit: int = 2) -> tuple[list[str], Scan[BuildRecord]]:
    scan: Scan[BuildRecord] = Scan(builds_of(client).fetch_page, limit)
    return [record.id async for page in scan.pages() for record in page.records], scan


async def test_a_walk_shows_each_record_once_newest_first(client: AgentexClient, five: list[str]) -> None:
    ids, scan = await walked(client)

    assert ids == five
    assert scan.complete
    assert scan.ordered


async def test_a_record_that_is_on_two_pages_counts_once(
    simulator: SimulatorThread, client: AgentexClient, five: list[str]
) -> None:
    simulator.fault("overlap", items=1, forever=True, match={"query": {"starting_after": "."}})

    ids, scan = await walked(client)

    assert ids == five
    assert scan.ordered


async def test_has_more_for_ever_ends_at_the_empty_page(
    simulator: SimulatorThread, client: AgentexClient, five: list[str]
) -> None:
    simulator.fault("has-more", value=True, forever=True)

    ids, scan = await walked(client)

    assert ids == five
    assert scan.complete
    assert lists(simulator) == 4


async def test_the_walk_ends_when_a_server_repeats_the_same_page(
    simulator: SimulatorThread, client: AgentexClient, five: list[str]
) -> None:
    page = await client.list_builds(2, None)

    async def same(_limit: int, _after: str | None, _ordered: bool) -> Page[BuildRecord]:
        return page

    scan: Scan[BuildRecord] = Scan(same, 2)
    ids = [record.id async for page in scan.pages() for record in page.records]

    assert ids == five[:2]
    assert not scan.complete


async def test_a_page_with_only_the_record_of_the_cursor_is_the_last(
    simulator: SimulatorThread, client: AgentexClient, five: list[str]
) -> None:
    simulator.fault("has-more", value=True, repeat=True, forever=True)

    ids, scan = await walked(client, limit=10)

    assert ids == five
    assert scan.complete


async def test_a_full_page_that_claims_to_be_the_last_is_not_believed(
    simulator: SimulatorThread, client: AgentexClient, five: list[str]
) -> None:
    simulator.fault("has-more", value=False, forever=True)

    ids, _ = await walked(client)

    assert ids == five


async def test_a_lost_cursor_starts_over_and_shows_nothing_twice(
    simulator: SimulatorThread, client: AgentexClient, five: list[str]
) -> None:
    simulator.fault("cursor-400", nth=2, count=2)

    ids, scan = await walked(client)

    assert ids == five
    assert scan.complete


async def test_a_cursor_lost_again_and_again_is_an_error(
    simulator: SimulatorThread, client: AgentexClient, five: list[str]
) -> None:
    simulator.fault("cursor-400", forever=True)

    with pytest.raises(Unavailable, match="lost its cursor"):
        await walked(client)


@pytest.mark.parametrize("status", [400, 422])
async def test_a_server_that_refuses_to_sort_is_read_to_the_end(
    status: int, simulator: SimulatorThread, client: AgentexClient, five: list[str]
) -> None:
    simulator.fault("status", status=status, match={"query": {"sort_by": "."}}, forever=True)

    ids, scan = await walked(client)

    assert sorted(ids) == sorted(five)
    assert (scan.complete, scan.sorts) == (True, False)


async def test_other_refusals_are_not_about_the_sorting(simulator: SimulatorThread, client: AgentexClient) -> None:
    simulator.fault("status", status=418, forever=True)

    with pytest.raises(Rejected):
        await walked(client)


async def test_a_server_that_ignores_the_sorting_is_noticed_by_its_dates(
    client: AgentexClient, five: list[str], clock: HandClock
) -> None:
    async def unsorted(limit: int, after: str | None, _ordered: bool) -> Page[BuildRecord]:
        return await client.list_builds(limit, after, ordered=False)

    kind = replace(builds_of(client), fetch_page=unsorted)
    inventory = Inventory(kind, clock, lambda: 0.5, Woken().append, sizes=ListSizes(page=2))
    newest = await client.get_build(five[0])
    assert newest is not None

    shown = await inventory.find(a_request("e", back_to=newest.created_at), fresh_since=None)

    assert [record.id for record in shown.records] == [newest.id]
    assert shown.reaches_back_to is None


async def test_an_unsorted_list_without_end_proves_no_absence(clock: HandClock) -> None:
    async def endless(_limit: int, after: str | None, _ordered: bool) -> Page[BuildRecord]:
        number = int(after or 0) + 1
        return a_page(str(number), LONG_AGO + timedelta(seconds=number))

    inventory = Inventory(builds_like(endless), clock, lambda: 0.5, Woken().append)

    with pytest.raises(Unavailable, match=f"not ended after {PAGE_CAP} pages"):
        await inventory.find(a_request("a", back_to=LONG_AGO), fresh_since=None)


async def test_a_list_that_stops_short_of_what_is_needed_is_an_error_not_an_absence(clock: HandClock) -> None:
    two = a_page("2", LONG_AGO + timedelta(seconds=1)).records + a_page("1", LONG_AGO).records

    async def stuck(_limit: int, _after: str | None, _ordered: bool) -> Page[BuildRecord]:
        return Page(two, has_more=True, last_id="1", length=2)

    inventory = Inventory(builds_like(stuck), clock, lambda: 0.5, Woken().append)

    with pytest.raises(Unavailable, match="could not be read back to 2019"):
        await inventory.find(a_request("a", back_to=LONG_AGO - timedelta(days=1)), fresh_since=None)


async def test_a_page_that_is_too_large_is_asked_for_in_halves() -> None:
    asked: list[int] = []

    async def heavy(limit: int, _after: str | None, _ordered: bool) -> Page[BuildRecord]:
        asked.append(limit)
        if limit > 2:
            raise AnswerTooLarge("too large")
        return Page((), has_more=False, last_id=None, length=0)

    async for _ in Scan(heavy, 10).pages():
        pass

    assert asked == [10, 5, 2]


async def test_a_record_without_a_date_proves_nothing_about_the_depth(clock: HandClock) -> None:
    async def undated(_limit: int, after: str | None, _ordered: bool) -> Page[BuildRecord]:
        return a_page("2", LONG_AGO, has_more=False) if after else a_page("1", UNDATED)

    inventory = Inventory(builds_like(undated), clock, lambda: 0.5, Woken().append)

    shown = await inventory.find(a_request("a", "1", "2", back_to=LONG_AGO), fresh_since=None)

    assert [record.id for record in shown.records] == ["1", "2"]


@pytest.mark.parametrize(
    ("kind", "script"),
    [
        ("html-502", {}),
        ("html-502", {"status": 200}),
        ("truncated", {}),
        ("wrong-content-length", {}),
        ("empty-body", {}),
        ("outage", {"mode": "rst"}),
        ("status", {"status": 500}),
    ],
)
async def test_a_list_that_cannot_be_read_shows_nothing_rather_than_less(
    kind: str, script: dict[str, object], simulator: SimulatorThread, client: AgentexClient, five: list[str]
) -> None:
    simulator.fault(kind, nth=2, match={"method": "GET"}, **script)

    with pytest.raises(Unavailable):
        await walked(client)


async def test_an_item_with_an_unusable_id_is_skipped(
    simulator: SimulatorThread, client: AgentexClient, five: list[str]
) -> None:
    simulator.fault("id", value="../x")

    ids, _ = await walked(client, limit=100)

    assert ids == []


def builds_like(fetch: FetchPage[BuildRecord]) -> RecordKind[BuildRecord]:
    return RecordKind(fetch, lambda record: record.agent_name)


def a_page(id_: str, created_at: datetime, *, has_more: bool = True) -> Page[BuildRecord]:
    record = build_record({"id": id_, "created_at": None if created_at == UNDATED else created_at.isoformat()})
    assert record is not None
    return Page((record,), has_more, id_, 1)
