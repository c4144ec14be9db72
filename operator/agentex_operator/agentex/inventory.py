"""The inventory: the remote objects of one account and kind, read by shared listings and not one by one.

    find ──► the cache is fresh enough ──► answered from the cache
      └────► else: a shared listing, newest first ──► the cache ──► answered
    run  ──► a listing whenever a follower is due ──► the cache ──► wakes the followers whose records changed
"""

from __future__ import annotations

import math
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol

from agentex_operator.agentex.coalescing import Round, SharedRounds
from agentex_operator.agentex.counts import CountsOfAccount
from agentex_operator.agentex.listing_cache import ListingCache
from agentex_operator.agentex.listing_reader import ListingReader
from agentex_operator.agentex.poller import PollClock, Poller
from agentex_operator.agentex.watch_request import EVERYTHING_DROPPED, Coverage, FreshnessBound, RecordFilter
from agentex_operator.core import errors
from agentex_operator.core.errors import Unavailable
from agentex_operator.core.remote import Listing, Record

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from agentex_operator.agentex.counts import RecordCounts
    from agentex_operator.agentex.record_kind import RecordKind
    from agentex_operator.agentex.watch_request import WatchRequest


@dataclass(frozen=True, slots=True)
class ListSizes:
    """How much is listed and kept.

    `page`: records per page. `capacity`: up to so many records of an account are kept, whoever owns them; of larger
    accounts, only those that are claimed or asked for.
    """

    page: int = 1000
    capacity: int = 2000


class Claims(Protocol):
    """What the resources that may use the account can own there, whether they follow it already or not."""

    async def record_filter(self) -> RecordFilter:
        """The filter of their owners and recorded ids. Raises ExternalError."""

    def oldest(self) -> datetime | None:
        """The moment before which none of them can own a record; None where there is no resource."""


class NoClaims:
    """The claims of an account that no resource uses yet."""

    async def record_filter(self) -> RecordFilter:
        """The filter that nothing passes."""
        return EVERYTHING_DROPPED

    def oldest(self) -> datetime | None:
        """None."""
        return None


class Inventory(Generic[Record]):
    """The records of one kind in one account. Use it on one event loop.

    `jitter` answers a number in [0, 1). `wake` is called with the uid of a followed resource whose records changed, or
    which lacks an id that it asked for. `claims`: the first listing goes back to the oldest of them, and each listing
    keeps their records, so that one listing serves all resources of the account.
    """

    def __init__(
        self,
        kind: RecordKind[Record],
        clock: PollClock,
        jitter: Callable[[], float],
        wake: Callable[[str], None],
        *,
        claims: Claims | None = None,
        sizes: ListSizes | None = None,
    ) -> None:
        sizes = sizes or ListSizes()
        self._clock = clock
        self._claims = claims or NoClaims()
        self._cache = ListingCache(kind, sizes.capacity)
        self._reader = ListingReader(kind, sizes.page, sizes.capacity)
        self._rounds = SharedRounds(self._read_listing, clock)
        self._poller = Poller(self._cache, clock, jitter, wake, self._rounds.next_listing)
        self._counted = CountsOfAccount()
        self._agents: dict[str, str] = {}
        self._creates: Counter[str] = Counter()  # by owner: creates that have ended since the last listing began

    def note_create(self, owner: str) -> None:
        """Note that a create of this owner has ended: only a listing that begins from now on answers the owner.

        The status usually asks for that, but another client may remove the status before the new id is on record.
        """
        self._creates[owner] += 1

    def follow(self, uid: str, request: WatchRequest) -> None:
        """List for this request every `every`, and wake `uid` on changes; the newest request of a uid counts."""
        self._poller.follow(uid, request)

    def unfollow(self, uid: str) -> None:
        """Stop following for this uid; does nothing if it does not follow."""
        self._poller.unfollow(uid)

    async def find(self, request: WatchRequest, *, fresh_since: datetime | None,
                   waiting: Callable[[], AbstractAsyncContextManager[None]] = nullcontext) -> Listing[Record]:
        """The records of this request, from a listing that began at `fresh_since` or later.

        With None, recent records may be `every` old, and those older than the recorded ids five minutes. Concurrent
        requests share one listing. Raises what the listing raises, and Unavailable if it does not reach `back_to`.
        `waiting` makes a context that is entered while a listing is awaited, not where the cache answers.
        """
        with errors.of_account():
            recent, deep = self._freshness(request, fresh_since)
            if request.owner not in self._creates and (coverage := self._cache.fresh(request, recent, deep)):
                return self._shown(request, coverage)
            async with waiting():
                return await self._listed(request, recent, deep)

    async def _listed(self, request: WatchRequest, recent: FreshnessBound, deep: FreshnessBound) -> Listing[Record]:
        """The records of this request as a listing shows them that is under way, or begins now."""
        created = request.owner in self._creates
        bound = recent.not_before(math.inf) if created else recent  # a listing under way began before the create
        await self._rounds.listed(request, self._cache.missing_back_to(request, deep), bound)
        coverage = self._cache.fresh(request, recent, deep)
        if coverage is None:
            raise Unavailable(f"The list could not be read back to {request.back_to:%Y-%m-%dT%H:%M:%SZ}.")
        return self._shown(request, coverage)

    def _shown(self, request: WatchRequest, coverage: Coverage) -> Listing[Record]:
        return Listing(coverage.began_at, coverage.back_to, self._poller.record_shown(request).records)

    def counts(self) -> RecordCounts | None:
        """The counts of the account as far back as it was listed; None before the first listing."""
        return self._counted.counts

    def agent_id(self, name: str) -> str | None:
        """The id of the agent of this name, if a record of that agent was listed; else None."""
        return self._agents.get(name)

    async def run(self) -> None:
        """List whenever a follower is due, until cancelled; a failed listing is retried with backoff and not raised."""
        await self._poller.run()

    def retry_now(self) -> None:
        """End the backoff, as the key or the account changed."""
        self._poller.retry_now()

    @property
    def idle(self) -> bool:
        """Whether no listing is under way and none is waiting to begin."""
        return self._rounds.idle

    async def close(self) -> None:
        """Cancel the listings; the requests that wait for them get Unavailable."""
        await self._rounds.close()

    def _freshness(self, request: WatchRequest, fresh_since: datetime | None) -> tuple[FreshnessBound, FreshnessBound]:
        """The bounds for recent records and for older ones."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        if fresh_since is not None:
            bound = FreshnessBound.of_age(now - fresh_since, now, monotonic)
            return bound, bound
        return (FreshnessBound.of_age(request.every, now, monotonic),
                FreshnessBound.of_age(request.deep_every, now, monotonic))

    async def _read_listing(self, round_: Round) -> None:
        """Read one listing for all that asked and all that are due; then wake the followers whose records changed."""
        created = Counter(self._creates)
        claimed = await self._claims.record_filter()
        began = self._clock.monotonic()
        due = self._poller.due_at(began)
        asked = RecordFilter.for_requests(request for request, _ in round_.asked)
        needs = [*due.needs, *(back_to for _, back_to in round_.asked)]
        if not self._cache.listings and (oldest_claim := self._claims.oldest()) is not None:
            needs.append(oldest_claim)
        round_.coverage = Coverage(self._clock.now(), began, min(needs, default=None),
                                   claimed | self._poller.record_filter | asked)
        read = await self._reader.read(round_.coverage)
        changed = self._cache.apply_listing(read.coverage, read.records)
        self._creates -= created
        self._agents |= read.tally.agents
        self._counted.apply_listing(read.coverage.back_to, read.tally)
        self._poller.notify({request.owner for request, _ in round_.asked}, due, changed)
        self._poller.record_success()
