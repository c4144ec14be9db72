"""The poller: which resources are followed, when each is due for a listing, and which are woken by it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol

from agentex_operator import logs
from agentex_operator.agentex.gate import MonotonicClock
from agentex_operator.core.errors import ExternalError, Throttled
from agentex_operator.core.remote import Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import datetime

    from agentex_operator.agentex.listing_cache import LastSeen, ListingCache
    from agentex_operator.agentex.watch_request import WatchRequest

log = logs.logger(__name__)

SPREAD = 0.1  # the interval varies by this part of itself, up and down
FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0  # seconds between failed listings
NEVER = float("inf")


class PollClock(MonotonicClock, Protocol):
    """What an inventory needs of a clock."""

    def now(self) -> datetime:
        """The time of day, aware."""
        ...


@dataclass(slots=True)
class Follower:
    """A resource that is woken when its records change. `due` and `deep_due` are on the monotonic clock (seconds)."""

    uid: str
    request: WatchRequest
    due: float
    deep_due: float


@dataclass(frozen=True, slots=True)
class DueFollowers:
    """The followers that were due when a listing began; `deep_uids`: those due for a listing back to `back_to`."""

    uids: frozenset[str]
    deep_uids: frozenset[str]

    @staticmethod
    def of(followers: Iterable[Follower], began: float) -> DueFollowers:
        """The uids of these followers, as of a listing that began then (monotonic, seconds)."""
        followers = tuple(followers)
        deep = frozenset(follower.uid for follower in followers if follower.deep_due <= began)
        return DueFollowers(frozenset(follower.uid for follower in followers), deep)


class Poller(Generic[Record]):
    """Lists whenever a follower is due, and wakes the followers whose records changed.

    `jitter` answers a number in [0, 1). `wake` is called with the uid of a follower whose records changed, or which
    lacks an id that it asked for. `next_listing` makes one listing and applies it to the cache.
    """

    def __init__(
        self,
        cache: ListingCache[Record],
        clock: PollClock,
        jitter: Callable[[], float],
        wake: Callable[[str], None],
        next_listing: Callable[[], Awaitable[None]],
    ) -> None:
        self._cache = cache
        self._clock = clock
        self._jitter = jitter
        self._wake = wake
        self._next_listing = next_listing
        self._followers: dict[str, Follower] = {}
        self._last_seen: dict[str, LastSeen[Record]] = {}
        self._failures = 0
        self._not_before = 0.0
        self._changed = asyncio.Event()

    # --- who is followed ------------------------------------------------------------------------------------------

    @property
    def requests(self) -> tuple[WatchRequest, ...]:
        """The requests of all followers."""
        return tuple(follower.request for follower in self._followers.values())

    def follow(self, uid: str, request: WatchRequest) -> None:
        """List for this request every `every`, and wake `uid` on changes; the newest request of a uid counts."""
        follower = self._followers.get(uid)
        if follower is not None and follower.request == request:
            return
        due = self._clock.monotonic() + request.every.total_seconds()
        deep_due = self._clock.monotonic() + request.deep_every.total_seconds()
        if follower is not None:
            due, deep_due = min(due, follower.due), min(deep_due, follower.deep_due)
        self._followers[uid] = Follower(uid, request, due, deep_due)
        self._changed.set()

    def unfollow(self, uid: str) -> None:
        """Stop following for this uid; does nothing if it does not follow."""
        follower = self._followers.pop(uid, None)
        if follower is not None:
            self._last_seen.pop(follower.request.owner, None)

    # --- when a listing is due ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """List whenever a follower is due, until cancelled; a failed listing is retried with backoff and not raised."""
        while True:
            if (wait := self._seconds_until_due()) > 0:
                await self._sleep_until_changed(wait)
            else:
                await self._list_once()

    def retry_now(self) -> None:
        """End the backoff, as the key or the account changed."""
        self.record_success()
        self._not_before = 0.0
        self._changed.set()

    def record_success(self) -> None:
        """Let the next failure back off from the shortest delay."""
        self._failures = 0

    def due_at(self, moment: float) -> list[Follower]:
        """The followers that are due then, or within a tenth of their interval: one listing serves both."""
        return [follower for follower in self._followers.values()
                if min(follower.due, follower.deep_due) <= moment + SPREAD * follower.request.every.total_seconds()]

    def needs(self, due: Iterable[Follower], began: float) -> list[datetime]:
        """The moments to which a listing that begins then must go back for these followers."""
        return [one.request.back_to if one.deep_due <= began else self._cache.oldest_recorded(one.request)
                for one in due]

    async def _list_once(self) -> None:
        try:
            await self._next_listing()
        except ExternalError as error:
            self._back_off(error)
        except Exception:  # the last line of defence: a bug must not end the polling of a whole account
            log.exception("a listing raised: this is a bug in the operator")
            self._back_off(None)

    def _back_off(self, error: ExternalError | None) -> None:
        self._failures += 1
        delay = min(FIRST_DELAY * 2.0 ** min(self._failures - 1, 16), LONGEST_DELAY) * (1 - self._jitter() / 2)
        if isinstance(error, Throttled) and error.retry_after:
            delay = max(delay, error.retry_after.total_seconds())
        self._not_before = self._clock.monotonic() + delay

    def _seconds_until_due(self) -> float:
        first = min((min(follower.due, follower.deep_due) for follower in self._followers.values()), default=NEVER)
        return max(first, self._not_before) - self._clock.monotonic()

    async def _sleep_until_changed(self, seconds: float) -> None:
        """Sleep for that long; a new request or `retry_now` ends the sleep."""
        self._changed.clear()
        changed = asyncio.ensure_future(self._changed.wait())
        sleeps = {changed} if seconds == NEVER else {changed, asyncio.ensure_future(self._sleep(seconds))}
        try:
            await asyncio.wait(sleeps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for sleep in sleeps:
                sleep.cancel()
            await asyncio.gather(*sleeps, return_exceptions=True)

    async def _sleep(self, seconds: float) -> bool:
        await self._clock.sleep(max(seconds, 0.0))
        return True

    # --- who is woken ---------------------------------------------------------------------------------------------

    def record_shown(self, request: WatchRequest) -> LastSeen[Record]:
        """What the cache has for this request; the owner of the request has seen it, and is not woken for it."""
        seen = self._cache.last_seen(request)
        self._last_seen[request.owner] = seen
        return seen

    def notify(self, asked: set[str], due: DueFollowers) -> None:
        """After a listing: set each follower's next due times, and wake those whose records changed.

        `asked`: owners whose requests joined this listing. They get its result, and are not woken.
        """
        factor = 1 + SPREAD * (2 * self._jitter() - 1)
        wanted = {follower.request.owner for follower in self._followers.values()} | asked
        self._last_seen = {owner: seen for owner, seen in self._last_seen.items() if owner in wanted}
        for follower in tuple(self._followers.values()):
            self._reschedule(follower, factor, due)
            if follower.request.owner not in asked:
                self._wake_if_changed(follower, due=follower.uid in due.uids)

    def _reschedule(self, follower: Follower, factor: float, served: DueFollowers) -> None:
        """Due an interval after the listing that covered the request; if none did, an interval from now."""
        request, now = follower.request, self._clock.monotonic()
        recent, complete = self._cache.recent(request), self._cache.complete(request)
        every, deep = request.every.total_seconds() * factor, request.deep_every.total_seconds() * factor
        due = recent.began + every if recent else follower.due
        deep_due = complete.began + deep if complete else follower.deep_due
        follower.due = now + every if due <= now and follower.uid in served.uids else due
        follower.deep_due = now + deep if deep_due <= now and follower.uid in served.deep_uids else deep_due

    def _wake_if_changed(self, follower: Follower, *, due: bool) -> None:
        request = follower.request
        if self._cache.recent(request) is None:
            return
        seen = self._cache.last_seen(request)
        if seen != self._last_seen.get(request.owner) or (due and seen.missing):
            self._last_seen[request.owner] = seen
            self._wake(follower.uid)
