"""The reference for the inventory, which works by difference: defined over all followers and all records.

And a remote API of toy records, and a clock whose time of day can be set, which both are tested with.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from agentex_operator.agentex.record_kind import RecordKind
from agentex_operator.agentex.scan import Scan
from agentex_operator.agentex.watch_request import (
    EVERYTHING_DROPPED,
    Coverage,
    FreshnessBound,
    RecordFilter,
    WatchRequest,
)
from agentex_operator.agentex.wire import UNDATED, Page
from agentex_operator.core.errors import ExternalError, Rejected, Unavailable
from agentex_operator.core.remote import RemoteState
from agentex_testkit.clocks import HandClock

PAGE, CAPACITY = 3, 6
EARLY = datetime(2020, 1, 1, tzinfo=UTC)
NEVER = float("inf")

Bounds = tuple[FreshnessBound, FreshnessBound]  # of the recent records, and of all of them


@dataclass(frozen=True)
class ToyRecord:
    """A remote object of a kind that only these tests have."""

    id: str
    created_at: datetime
    owner: str | None
    fingerprint: str | None = None
    raw_status: str = "toy"
    state: RemoteState = RemoteState.RUNNING


@dataclass
class ToyClock(HandClock):
    """A clock whose time of day can be set forward or back."""

    offset: timedelta = timedelta()

    def now(self) -> datetime:
        """The time of day, as it was set."""
        return super().now() + self.offset


@dataclass
class ToyClaims:
    """What the resources of the account claim."""

    wanted: RecordFilter = EVERYTHING_DROPPED
    since: datetime | None = None

    async def record_filter(self) -> RecordFilter:
        """The filter that was set."""
        return self.wanted

    def oldest(self) -> datetime | None:
        """The moment that was set."""
        return self.since


@dataclass
class ToyRemote:
    """An account of toy records. `sorting`: whether its list sorts, ignores the wish to sort, or refuses it."""

    records: dict[str, ToyRecord] = field(default_factory=dict)
    sorting: str = "sorts"
    fails: bool = False

    def page(self, limit: int, after: str | None, ordered: bool) -> Page[ToyRecord]:
        """One page of the list. Raises Unavailable and Rejected."""
        if self.fails:
            raise Unavailable("down")
        if ordered and self.sorting == "refuses":
            raise Rejected("no sorting", status=400)
        ids = sorted(self.records)
        if ordered and self.sorting == "sorts":
            ids.sort(key=lambda id_: self.records[id_].created_at, reverse=True)
        first = ids.index(after) + 1 if after else 0
        shown = tuple(self.records[id_] for id_ in ids[first:first + limit])
        return Page(shown, first + limit < len(ids), shown[-1].id if shown else None, len(shown))


@dataclass
class Watcher:
    """A follower. `seen`: the records and missing ids that it was last shown or woken for."""

    request: WatchRequest
    due: float
    deep_due: float
    since: float
    factor: float = 1.0
    seen: tuple[tuple[ToyRecord, ...], frozenset[str]] | None = None


@dataclass
class Listing:
    """A listing that has begun: for whom, and which followers were due then."""

    asked: list[tuple[WatchRequest, datetime]]
    coverage: Coverage
    due: set[str]
    deep: set[str]


@dataclass
class Reference:
    """An inventory that looks at every follower and every record at each listing. `pages`: what it read, in order."""

    kind: RecordKind[ToyRecord]
    remote: ToyRemote
    clock: ToyClock
    claims: ToyClaims
    jitters: Iterator[float]
    listings: list[Coverage] = field(default_factory=list)
    records: dict[str, ToyRecord] = field(default_factory=dict)
    passed: int = 0
    watchers: dict[str, Watcher] = field(default_factory=dict)
    shown: dict[str, tuple[tuple[ToyRecord, ...], frozenset[str]]] = field(default_factory=dict)
    woken: list[str] = field(default_factory=list)
    pages: list[str | None] = field(default_factory=list)
    unsorted_until: float = 0.0
    failures: int = 0
    not_before: float = 0.0

    # --- what is followed, and what is due ------------------------------------------------------------------------

    def follow(self, uid: str, request: WatchRequest) -> None:
        """List for this request, and wake the uid."""
        former = self.watchers.get(uid)
        if former and former.request == request:
            return
        now = self.clock.monotonic()
        new = Watcher(request, now + request.every.total_seconds(), now + request.deep_every.total_seconds(),
                      self.listings[0].began if self.listings else -NEVER)
        if former:
            new.due, new.deep_due = min(new.due, self.due(former)), min(new.deep_due, self.deep_due(former))
            new.factor = former.factor
        new.seen = former.seen if former else self.shown.pop(request.owner, None)
        self.watchers[uid] = new

    def due(self, one: Watcher) -> float:
        """When a listing of the recent records is due."""
        return self.later(one, one.due, self.recent(one.request), one.request.every)

    def deep_due(self, one: Watcher) -> float:
        """When a listing of all its records is due."""
        return self.later(one, one.deep_due, self.complete(one.request), one.request.deep_every)

    def later(self, one: Watcher, due: float, covered: Coverage | None, interval: timedelta) -> float:
        """An interval after the covering listing, no earlier than `due`; `due` until there is one."""
        is_new = covered is not None and covered.began > one.since
        return max(due, covered.began + interval.total_seconds() * one.factor) if covered and is_new else due

    def seconds_until_due(self) -> float:
        """How long until the next listing."""
        first = min((min(self.due(one), self.deep_due(one)) for one in self.watchers.values()), default=NEVER)
        return max(first, self.not_before) - self.clock.monotonic()

    # --- one listing ----------------------------------------------------------------------------------------------

    async def begin(self, asked: list[tuple[WatchRequest, datetime]]) -> Listing:
        """Begin a listing for those that asked, and those that are due."""
        began = self.clock.monotonic()
        due = {uid for uid, one in self.watchers.items()
               if min(self.due(one), self.deep_due(one)) <= began + 0.1 * one.request.every.total_seconds()}
        deep = {uid for uid in due if self.deep_due(self.watchers[uid]) <= began}
        needs = [back_to for _, back_to in asked]
        for uid in due:
            request = self.watchers[uid].request
            needs.append(request.back_to if uid in deep else self.oldest_recorded(request))
        if not self.listings and self.claims.since:
            needs.append(self.claims.since)
        requests = [*(one.request for one in self.watchers.values()), *(request for request, _ in asked)]
        coverage = Coverage(self.clock.now(), began, min(needs, default=None),
                            self.claims.wanted | RecordFilter.for_requests(requests))
        return Listing(asked, coverage, due, deep)

    async def finish(self, listing: Listing) -> None:
        """Read the listing, apply it, and wake. Raises ExternalError."""
        async def fetch(limit: int, after: str | None, ordered: bool) -> Page[ToyRecord]:
            self.pages.append(after)
            return self.remote.page(limit, after, ordered)

        began, needed = listing.coverage.began, listing.coverage
        scan = Scan(fetch, PAGE, ordered=began >= self.unsorted_until)
        read = [record async for page in scan.pages(needed.back_to) for record in page.records]
        if not scan.sorts and self.unsorted_until <= began:
            self.unsorted_until = began + 3600
        if not scan.complete and not (scan.ordered and scan.oldest):
            raise Unavailable("unsorted")
        reach = None if scan.complete or scan.oldest is None else scan.oldest + timedelta(microseconds=1)
        keeps_all = len(read) <= CAPACITY
        kept = [one for one in read if keeps_all or self.passes(one, needed.record_filter)]
        self.apply(replace(needed, back_to=reach, keeps_all=keeps_all), kept)
        self.notify(listing)
        self.failures = 0

    async def poll(self, listing: Listing) -> None:
        """Finish a listing of the poller, which retries a failed one later."""
        try:
            await self.finish(listing)
        except ExternalError:
            self.failures += 1
            delay = min(2.0 ** (self.failures - 1), 60.0) * (1 - next(self.jitters) / 2)
            self.not_before = self.clock.monotonic() + delay

    def passes(self, record: ToyRecord, wanted: RecordFilter) -> bool:
        """Whether the filter lets the record through."""
        return record.owner in wanted.owners or record.id in wanted.ids or record.fingerprint in wanted.fingerprints

    def apply(self, coverage: Coverage, shown: list[ToyRecord]) -> None:
        """Take in a listing; drop what does not pass if the cache is too large."""
        self.records = {id_: one for id_, one in self.records.items() if not coverage.reaches(one.created_at)}
        self.records |= {one.id: one for one in shown}
        self.listings = [coverage, *(older for older in self.listings if not coverage.reaches(older.back_to))]
        too_large = len(self.records) > CAPACITY + self.passed
        if too_large:
            self.records = {id_: one for id_, one in self.records.items() if self.passes(one, coverage.record_filter)}
            self.passed = len(self.records)
        if too_large or not coverage.keeps_all:
            self.listings = [replace(one, keeps_all=False, record_filter=one.record_filter & coverage.record_filter)
                             for one in self.listings]

    def notify(self, listing: Listing) -> None:
        """Set the due times of all followers, and wake those whose records changed."""
        now, asked = self.clock.monotonic(), {request.owner for request, _ in listing.asked}
        factor = 1 + 0.1 * (2 * next(self.jitters) - 1)
        self.shown = {owner: seen for owner, seen in self.shown.items() if owner in asked}
        for uid, one in self.watchers.items():
            one.factor = factor if uid in listing.due else one.factor
            if uid in listing.due and self.due(one) <= now:
                one.due = now + one.request.every.total_seconds() * factor
            if uid in listing.deep and self.deep_due(one) <= now:
                one.deep_due = now + one.request.deep_every.total_seconds() * factor
            seen = self.seen(one.request)
            changed = seen != one.seen or (uid in listing.due and seen[1])
            if one.request.owner not in asked and self.recent(one.request) and changed:
                one.seen = seen
                self.woken.append(uid)

    # --- what is found --------------------------------------------------------------------------------------------

    def bounds(self, request: WatchRequest, since: datetime | None) -> Bounds:
        """How fresh the recent records and all of them must be."""
        now, monotonic = self.clock.now(), self.clock.monotonic()
        ages = (request.every, request.deep_every) if since is None else (now - since, now - since)
        recent, deep = (FreshnessBound.of_age(age, now, monotonic) for age in ages)
        return recent, deep

    def fresh(self, request: WatchRequest, bounds: Bounds) -> Coverage | None:
        """The listing that answers the request, if it is fresh enough."""
        recent, deep = bounds
        young, complete = self.recent(request), self.complete(request)
        return complete if young and complete and recent.allows(young) and deep.allows(complete) else None

    def missing_back_to(self, request: WatchRequest, bounds: Bounds) -> datetime:
        """How far a listing for this request must go back."""
        complete = self.complete(request)
        is_fresh = complete and bounds[1].allows(complete)
        return self.oldest_recorded(request) if is_fresh else request.back_to

    def answer(self, request: WatchRequest) -> tuple[ToyRecord, ...]:
        """The records of the request, which its owner has seen now."""
        seen = self.seen(request)
        mine = [one for one in self.watchers.values() if one.request.owner == request.owner]
        for one in mine:
            one.seen = seen
        if not mine:
            self.shown[request.owner] = seen
        return seen[0]

    def seen(self, request: WatchRequest) -> tuple[tuple[ToyRecord, ...], frozenset[str]]:
        """The cached records of the request, and its ids that no listing had."""
        wanted = RecordFilter.for_requests([request])
        found = [one for one in self.records.values() if self.passes(one, wanted)]
        ordered = tuple(sorted(found, key=lambda one: (one.created_at, one.id)))
        return ordered, request.ids - {one.id for one in found}

    def complete(self, request: WatchRequest) -> Coverage | None:
        """The newest listing of all records of the request."""
        return self.newest(request, request.back_to)

    def recent(self, request: WatchRequest) -> Coverage | None:
        """The newest listing of its recent records."""
        return self.newest(request, self.oldest_recorded(request))

    def oldest_recorded(self, request: WatchRequest) -> datetime:
        """When the oldest of the recorded ids was created."""
        dates = [self.records[id_].created_at for id_ in request.ids if id_ in self.records]
        return min(dates) if dates and len(dates) == len(request.ids) and UNDATED not in dates else request.back_to

    def newest(self, request: WatchRequest, back_to: datetime) -> Coverage | None:
        """The newest listing back to then that shows all records of the request."""
        return next((one for one in self.listings if one.reaches(back_to) and self.shows_all(one, request)), None)

    def shows_all(self, one: Coverage, request: WatchRequest) -> bool:
        """Whether no record of the request may have been dropped from that listing."""
        wanted = one.record_filter
        return ((one.keeps_all or request.owner in wanted.owners) and wanted.includes_fingerprint(request.fingerprint)
                and all(id_ in wanted.ids or id_ in self.records for id_ in request.ids))


def jitters() -> Iterator[float]:
    """Numbers in [0, 1), over and over."""
    return itertools.cycle((0.5, 0.0, 0.75, 0.25))
