"""An inventory, which works by difference, does what one that looks at all followers and all records does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.agentex.listing_reference import (
    CAPACITY,
    EARLY,
    NEVER,
    PAGE,
    Bounds,
    Listing,
    Reference,
    ToyClaims,
    ToyClock,
    ToyRecord,
    ToyRemote,
    jitters,
)

from agentex_operator.agentex.coalescing import LONGEST_PAUSE
from agentex_operator.agentex.inventory import Inventory, ListSizes
from agentex_operator.agentex.record_kind import RecordKind
from agentex_operator.agentex.watch_request import EVERYTHING_DROPPED, RecordFilter, WatchRequest
from agentex_operator.agentex.wire import UNDATED, Page
from agentex_operator.core.errors import ExternalError, Unavailable
from agentex_operator.core.remote import Listing as Shown
from agentex_testkit.clocks import run_ready_tasks

OWNERS = [f"o{n}" for n in range(3)]
IDS = [f"r{n}" for n in range(14)]
FINGERPRINTS = ["f0", "f1"]
AGES = [0, 0, 5, 60, 400, 4000]  # seconds
RESTING = timedelta(minutes=5)

pytestmark = pytest.mark.exhaustive


@dataclass
class Underway:
    """A listing that waits for the remote, in the inventory and in the reference, and the request that caused it."""

    task: asyncio.Future[Any]
    listing: Listing
    request: WatchRequest | None
    bounds: Bounds | None


class InventoryMachine(RuleBasedStateMachine):
    """Random histories of an account, its followers, its remote and its clocks."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock, self.remote, self.claims = ToyClock(), ToyRemote(), ToyClaims()
        self.pages: list[str | None] = []
        self.woken: list[str] = []
        self.may_answer: asyncio.Event | None = None
        self.underway: Underway | None = None
        kind = RecordKind(self.fetch_page, lambda record: record.owner,
                          fingerprint_of=lambda record: record.fingerprint)
        drawn = jitters()
        self.inventory = Inventory(kind, self.clock, lambda: next(drawn), self.woken.append, claims=self.claims,
                                   sizes=ListSizes(PAGE, CAPACITY))
        self.reference = Reference(kind, self.remote, self.clock, self.claims, jitters())

    def teardown(self) -> None:
        if self.underway is not None:
            self.finish()
        self.runner.close()

    async def fetch_page(self, limit: int, after: str | None, ordered: bool) -> Page[ToyRecord]:
        if self.may_answer is not None:
            await self.may_answer.wait()
        self.pages.append(after)
        return self.remote.page(limit, after, ordered)

    # --- the remote, the claims and the clocks --------------------------------------------------------------------

    @initialize(count=st.integers(0, len(IDS)), data=st.data())
    def fill(self, count: int, data: st.DataObject) -> None:
        for id_ in IDS[:count]:
            self.change(id_, data.draw(st.sampled_from([*OWNERS, None])), None, data.draw(st.sampled_from(AGES)))

    def change(self, id_: str, owner: str | None, fingerprint: str | None, age: int | None) -> None:
        """A record appears, or has another owner, fingerprint or date."""
        created = UNDATED if age is None else self.clock.now() - self.clock.offset - timedelta(seconds=age)
        self.remote.records[id_] = ToyRecord(id_, created, owner, fingerprint)

    @rule(ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=8), owner=st.sampled_from([*OWNERS, None]),
          fingerprint=st.sampled_from([*FINGERPRINTS, None]), age=st.sampled_from([*AGES, None]),
          what=st.sampled_from(["change", "progress", "vanish"]), status=st.sampled_from("abc"))
    def alter(self, ids: list[str], owner: str | None, fingerprint: str | None, age: int | None, what: str,
              status: str) -> None:
        """Records appear, change or vanish."""
        for id_ in ids:
            if what == "change":
                self.change(id_, owner, fingerprint, age)
            elif what == "vanish":
                self.remote.records.pop(id_, None)
            elif id_ in self.remote.records:
                self.remote.records[id_] = replace(self.remote.records[id_], raw_status=status)

    @rule(sorting=st.sampled_from(["sorts", "sorts", "sorts", "ignores", "refuses"]), fails=st.sampled_from([0, 0, 1]),
          owners=st.frozensets(st.sampled_from(OWNERS)), ids=st.frozensets(st.sampled_from(IDS), max_size=3),
          since=st.sampled_from([None, EARLY]), clock_set_by=st.sampled_from([0, 0, 0, -7200, -3, 3, 7200]))
    def befall(self, sorting: str, fails: int, owners: frozenset[str], ids: frozenset[str], since: datetime | None,
               clock_set_by: int) -> None:
        """The server sorts otherwise, or fails once; the claims change; the time of day is set."""
        self.remote.sorting, self.remote.fails = sorting, bool(fails)
        self.claims.wanted = RecordFilter(owners, ids, EVERYTHING_DROPPED.fingerprints)
        self.claims.since = since
        self.clock.offset += timedelta(seconds=clock_set_by)

    @rule(seconds=st.sampled_from([0.5, 1, 4.5, 5, 10, 60, 299, 301]))
    def pass_time(self, seconds: float) -> None:
        self.clock.seconds += seconds

    # --- the followers and their requests -------------------------------------------------------------------------

    requests = st.builds(
        WatchRequest, st.sampled_from(OWNERS), st.frozensets(st.sampled_from(IDS), max_size=2),
        st.sampled_from([EARLY, EARLY, ToyClock().now() - timedelta(seconds=100)]),
        st.sampled_from([timedelta(seconds=5), timedelta(seconds=20), RESTING]),
        st.sampled_from([None, None, *FINGERPRINTS]))

    @rule(request=requests)
    def follow(self, request: WatchRequest) -> None:
        uid = f"uid of {request.owner}"
        self.inventory.follow(uid, request)
        self.reference.follow(uid, request)

    @rule(owner=st.sampled_from(OWNERS))
    def unfollow(self, owner: str) -> None:
        self.inventory.unfollow(f"uid of {owner}")
        self.reference.watchers.pop(f"uid of {owner}", None)

    @rule(request=requests, age=st.sampled_from([None, None, -60, 0, 1, 30]), waits=st.booleans(), own=st.booleans(),
          later=st.sampled_from([0, 0.5, 4, 20]))
    def find(self, request: WatchRequest, age: int | None, waits: bool, own: bool, later: float) -> None:
        """A request is answered from the cache or by a listing, as is the one that is followed."""
        self.clock.seconds += later
        watcher = self.reference.watchers.get(f"uid of {request.owner}")
        request = watcher.request if own and watcher else request
        since = None if age is None else self.clock.now() - timedelta(seconds=age)
        bounds = self.reference.bounds(request, since)
        if self.reference.fresh(request, bounds) is not None:
            self.runner.run(self.compare(self.inventory.find(request, fresh_since=since), request, bounds))
        elif self.underway is None:
            back_to = self.reference.missing_back_to(request, bounds)
            self.begin(self.inventory.find(request, fresh_since=since), [(request, back_to)], bounds, waits=waits)

    @precondition(lambda self: self.underway is None)
    @rule(waits=st.booleans())
    def poll(self, waits: bool) -> None:
        """When the next listing is due, the poller makes it."""
        wait = self.reference.seconds_until_due()
        if wait != NEVER:
            self.clock.seconds += max(wait, 0.0)
            self.begin(self.inventory._poller._list_once(), [], None, waits=waits)

    # --- a listing ------------------------------------------------------------------------------------------------

    def begin(self, call: Coroutine[Any, Any, Any], asked: list[tuple[WatchRequest, datetime]],
              bounds: Bounds | None, *, waits: bool) -> None:
        """Begin a listing; if it waits, other things happen before `finish`."""
        async def begun() -> None:
            self.may_answer = asyncio.Event()
            task = asyncio.ensure_future(call)
            await run_ready_tasks()
            listing = await self.reference.begin(asked)
            self.underway = Underway(task, listing, asked[0][0] if asked else None, bounds)

        self.runner.run(begun())
        if not waits:
            self.finish()

    @precondition(lambda self: self.underway is not None)
    @rule()
    def finish(self) -> None:
        """The remote answers the listing that waits."""
        assert self.underway is not None
        assert self.may_answer is not None
        underway, self.underway = self.underway, None
        self.may_answer.set()
        self.runner.run(self.finished(underway))
        self.may_answer, self.remote.fails = None, False
        if self.clock.seconds > underway.listing.coverage.began:
            self.clock.seconds += LONGEST_PAUSE  # the next listing may begin

    async def finished(self, underway: Underway) -> None:
        if underway.request is None or underway.bounds is None:
            await underway.task
            await self.reference.poll(underway.listing)
            return
        try:
            await self.reference.finish(underway.listing)
        except ExternalError as error:
            with pytest.raises(type(error)):
                await underway.task
        else:
            await self.compare(underway.task, underway.request, underway.bounds)

    async def compare(self, found: Awaitable[Any], request: WatchRequest, bounds: Bounds) -> None:
        """The answer is that of the reference, or Unavailable if that has none."""
        coverage = self.reference.fresh(request, bounds)
        try:
            shown: Shown[ToyRecord] = await found
        except Unavailable:
            assert coverage is None
        else:
            assert coverage is not None
            assert shown == Shown(coverage.began_at, coverage.back_to, self.reference.answer(request))

    @invariant()
    def both_are_alike(self) -> None:
        """The same were woken, the same pages were read, and the next listing is due at the same time."""
        assert sorted(self.woken) == sorted(self.reference.woken)
        assert self.pages == self.reference.pages
        assert self.inventory._poller._seconds_until_due() == pytest.approx(self.reference.seconds_until_due())
        assert sorted(self.inventory._cache.ids) == sorted(self.reference.records)


InventoryMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
test_an_inventory_does_what_the_reference_does = InventoryMachine.TestCase
