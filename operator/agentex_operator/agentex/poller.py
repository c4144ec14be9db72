"""The poller: which resources are followed, when each is due for a listing, and which are woken by it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol

from agentex_operator import logs
from agentex_operator.agentex.followers import Follower, Followers
from agentex_operator.agentex.gate import MonotonicClock
from agentex_operator.agentex.poll_schedule import NEVER, SPREAD, PollSchedule
from agentex_operator.core.errors import ExternalError, Throttled
from agentex_operator.core.remote import Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import datetime, timedelta

    from agentex_operator.agentex.listing_cache import LastSeen, ListingCache
    from agentex_operator.agentex.record_index import AttributedRecord
    from agentex_operator.agentex.watch_request import Coverage, RecordFilter, WatchRequest

log = logs.logger(__name__)

FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0  # seconds between failed listings


class PollClock(MonotonicClock, Protocol):
    """What an inventory needs of a clock."""

    def now(self) -> datetime:
        """The time of day, aware."""
        ...


@dataclass(frozen=True, slots=True)
class DueFollowers:
    """The followers that were due when a listing began; `deep_uids`: those due for a listing back to `back_to`.

    `needs`: the moments to which the listing must go back for them.
    """

    uids: frozenset[str]
    deep_uids: frozenset[str]
    needs: tuple[datetime, ...]


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
        self._followers: Followers[Record] = Followers()
        self._schedule = PollSchedule(self._when_due)
        self._unchecked: set[str] = set()  # the uids of followers whose records may differ from what they have seen
        self._shown: dict[str, LastSeen[Record]] = {}  # by owner: what was shown, since the last listing, to others
        self._failures = 0
        self._not_before = 0.0
        self._changed = asyncio.Event()

    # --- who is followed ------------------------------------------------------------------------------------------

    @property
    def record_filter(self) -> RecordFilter:
        """The filter that lets through every record that a follower asks for."""
        return self._followers.record_filter

    def follow(self, uid: str, request: WatchRequest) -> None:
        """List for this request every `every`, and wake `uid` on changes; the newest request of a uid counts."""
        former = self._followers.get(uid)
        if former is not None and former.request == request:
            return
        due = self._clock.monotonic() + request.every.total_seconds()
        deep_due = self._clock.monotonic() + request.deep_every.total_seconds()
        since = self._cache.listings[0].began if self._cache.listings else -NEVER
        if former is None:
            follower = Follower(uid, request, due, deep_due, since, 1.0, self._shown.pop(request.owner, None))
        else:
            due, deep_due = min(due, self._due(former)), min(deep_due, self._deep_due(former))
            follower = Follower(uid, request, due, deep_due, since, former.factor, former.seen)
        self._followers.put(follower)
        self._unchecked.add(uid)
        self._schedule.put(uid, request.every)
        self._changed.set()

    def unfollow(self, uid: str) -> None:
        """Stop following for this uid; does nothing if it does not follow."""
        self._followers.remove(uid)
        self._unchecked.discard(uid)
        self._schedule.discard(uid)

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

    def due_at(self, began: float) -> DueFollowers:
        """The followers that a listing serves which begins then: those that are due, or will be soon."""
        due = [self._followers[uid] for uid in self._schedule.due_at(began)]
        deep = frozenset(follower.uid for follower in due if self._deep_due(follower) <= began)
        needs = tuple(
            one.request.back_to if one.uid in deep else self._cache.oldest_recorded(one.request) for one in due
        )
        return DueFollowers(frozenset(follower.uid for follower in due), deep, needs)

    def _when_due(self, uid: str) -> float:
        follower = self._followers[uid]
        return min(self._due(follower), self._deep_due(follower))

    def _due(self, follower: Follower[Record]) -> float:
        """An interval after the newest listing that covered the records of the recorded ids, and those after them."""
        return _put_off(follower, follower.due, self._cache.recent(follower.request), follower.request.every)

    def _deep_due(self, follower: Follower[Record]) -> float:
        """An interval of deep listings after the newest listing that covered the request."""
        return _put_off(follower, follower.deep_due, self._cache.complete(follower.request),
                        follower.request.deep_every)

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
        return max(self._schedule.next_due(), self._not_before) - self._clock.monotonic()

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
        followers = self._followers.of_owner(request.owner)
        for follower in followers:
            follower.seen = seen
            if follower.request != request:
                self._unchecked.add(follower.uid)
        if not followers:
            self._shown[request.owner] = seen
        return seen

    def notify(self, asked: set[str], due: DueFollowers, changed: Iterable[AttributedRecord[Record]]) -> None:
        """After a listing: set when those that were due are due again, and wake the followers whose records changed.

        `asked`: owners whose requests joined this listing. They get its result, and are not woken.
        """
        factor = 1 + SPREAD * (2 * self._jitter() - 1)
        self._shown = {owner: self._shown[owner] for owner in asked if owner in self._shown}
        uids = self._unchecked | due.uids | self._followers.asking_for(changed)
        self._unchecked = set()
        for follower in filter(None, map(self._followers.get, sorted(uids))):
            if follower.uid in due.uids:
                self._reschedule(follower, factor, deep=follower.uid in due.deep_uids)
            self._schedule.put(follower.uid, follower.request.every)  # due earlier, if its oldest record is gone
            if follower.request.owner in asked or self._cache.recent(follower.request) is None:
                self._unchecked.add(follower.uid)
            else:
                self._wake_if_changed(follower, due=follower.uid in due.uids)

    def _reschedule(self, follower: Follower[Record], factor: float, *, deep: bool) -> None:
        """Due an interval after the listing that covered the request; if none did, an interval from now."""
        request, now, follower.factor = follower.request, self._clock.monotonic(), factor
        if self._due(follower) <= now:
            follower.due = now + request.every.total_seconds() * factor
        if deep and self._deep_due(follower) <= now:
            follower.deep_due = now + request.deep_every.total_seconds() * factor

    def _wake_if_changed(self, follower: Follower[Record], *, due: bool) -> None:
        seen = self._cache.last_seen(follower.request)
        if seen != follower.seen or (due and seen.missing):
            follower.seen = seen
            self._wake(follower.uid)


def _put_off(follower: Follower[Record], due: float, covered: Coverage | None, interval: timedelta) -> float:
    """When the follower is due that was due then: an interval after a listing that covered its request since."""
    if covered is None or covered.began <= follower.since:
        return due
    return max(due, covered.began + interval.total_seconds() * follower.factor)
