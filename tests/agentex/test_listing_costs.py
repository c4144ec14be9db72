"""A listing costs what it shows and whom it concerns, not all records and followers of the account: counted, not timed.

The sizes of pages and of the cache are scaled down with the number of followers, as in an account of ten thousand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar

import pytest
from tests.agentex.listing_reference import EARLY, ToyClaims, ToyRecord, ToyRemote

from agentex_operator.agentex.inventory import Inventory, ListSizes
from agentex_operator.agentex.record_kind import RecordKind
from agentex_operator.agentex.watch_request import RecordFilter, WatchRequest
from agentex_operator.agentex.wire import Page
from agentex_testkit.clocks import HandClock

FOLLOWERS, PAGE, CAPACITY = 300, 10, 20
RESTING, BUSY = timedelta(minutes=5), timedelta(seconds=5)


class CountedRequest(WatchRequest):
    """A request that notes, by owner, how often it is read."""

    read: ClassVar[Counter[str]] = Counter()

    def __getattribute__(self, name: str) -> object:
        """The field; counted."""
        owner: str = object.__getattribute__(self, "owner")
        CountedRequest.read[owner] += not name.startswith("__")
        return object.__getattribute__(self, name)


@dataclass(frozen=True, eq=False)
class CountedRecord(ToyRecord):
    """A record that notes how often it is compared."""

    compared: ClassVar[Counter[str]] = Counter()

    def __eq__(self, other: object) -> bool:
        """Whether all fields are the same; counted."""
        CountedRecord.compared[self.id] += 1
        return isinstance(other, CountedRecord) and self.__dict__ == other.__dict__

    __hash__ = ToyRecord.__hash__


@dataclass
class Account:
    """An account in which all followers rest, and one that is busy."""

    inventory: Inventory[CountedRecord]
    remote: ToyRemote
    clock: HandClock
    woken: list[str]
    attributed: Counter[str]
    busy: WatchRequest

    @asynccontextmanager
    async def counting(self) -> AsyncIterator[None]:
        """Count from here on, some time after the last listing."""
        self.clock.seconds += 5
        self.woken.clear()
        for counter in (CountedRequest.read, CountedRecord.compared, self.attributed):
            counter.clear()
        yield


@pytest.fixture
async def account(clock: HandClock) -> Account:
    remote, attributed, woken = ToyRemote(), Counter[str](), list[str]()

    async def fetch_page(limit: int, after: str | None, ordered: bool) -> Page[CountedRecord]:
        return remote.page(limit, after, ordered)  # type: ignore[return-value]  # it has no other records

    def owner_of(record: CountedRecord) -> str | None:
        attributed[record.id] += 1
        return record.owner

    owners = [f"o{number:03}" for number in range(FOLLOWERS)]
    for age, owner in enumerate(reversed(owners)):
        remote.records[f"r{owner}"] = CountedRecord(f"r{owner}", clock.now() - timedelta(seconds=age), owner)
    claims = ToyClaims(RecordFilter(frozenset(owners), frozenset(), frozenset()), EARLY)
    inventory = Inventory(RecordKind(fetch_page, owner_of), clock, lambda: 0.5, woken.append, claims=claims,
                          sizes=ListSizes(PAGE, CAPACITY))
    requests = [CountedRequest(owner, frozenset({f"r{owner}"}), remote.records[f"r{owner}"].created_at, RESTING)
                for owner in owners]
    busy = requests[-1] = replace(requests[-1], every=BUSY)
    for request in requests:
        inventory.follow(f"uid of {request.owner}", request)
        await inventory.find(request, fresh_since=None)
    clock.seconds += 1
    await inventory.find(busy, fresh_since=clock.now())
    return Account(inventory, remote, clock, woken, attributed, busy)


async def test_a_shallow_listing_examines_its_page_and_the_followers_that_it_concerns(account: Account) -> None:
    first_page = sorted(account.remote.records)[-PAGE:]
    changed = first_page[3]
    account.remote.records[changed] = replace(account.remote.records[changed], raw_status="changed")

    async with account.counting():
        await account.inventory.find(account.busy, fresh_since=account.clock.now())

        assert account.woken == [f"uid of {changed[1:]}"]
        assert set(account.attributed) == {changed}
        assert set(CountedRecord.compared) <= set(first_page)
        assert CountedRecord.compared.total() <= 2 * PAGE
        assert set(CountedRequest.read) <= {changed[1:], account.busy.owner}


async def test_a_follower_that_rests_is_examined_when_it_is_due_and_not_at_each_poll(account: Account) -> None:
    async with account.counting():
        for _ in range(50):
            account.clock.seconds += 5
            await account.inventory.find(account.busy, fresh_since=account.clock.now())

        assert set(CountedRequest.read) == {account.busy.owner}


async def test_a_deep_listing_reads_the_owner_of_each_record_once(account: Account) -> None:
    async with account.counting():
        await account.inventory.find(replace(account.busy, back_to=EARLY), fresh_since=account.clock.now())

        assert account.attributed == dict.fromkeys(account.remote.records, 1)
