"""Status by list, not by resource: one listing at a time per account and kind answers everybody who asks.

    look ──► fresh enough already? ──► answered from memory
      └────► else: the round that has not begun yet ──► one listing, newest first ──► all who joined it
    run  ──► a round when some interest is due ──► wakes whoever's records changed
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Generic, Protocol

from agentex_operator import logs
from agentex_operator.agentex.knowledge import Bar, Interest, Knowledge, Layer, Wanted
from agentex_operator.agentex.limits import Ticks
from agentex_operator.agentex.scan import Fetch, Scan
from agentex_operator.core.errors import ExternalError, Throttled, Unavailable
from agentex_operator.core.remote import BuildRecord, DeploymentRecord, Listing, Record, RemoteState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agentex_operator.agentex.wire import Texts

log = logs.logger(__name__)

__all__ = ["Counts", "Interest", "Inventory", "Kind", "Time"]

PAGE = 1000
KEEP = 2000                            # so many records are kept though nobody asked, so that the next asker is served
SPREAD = 0.1                           # the cadence varies by a tenth either way
DEEP_RESYNC = timedelta(minutes=5)     # what lies deeper than the remotes in flight is looked at this often
UNSORTED_SECONDS = 3600.0              # how long a server that refused the sorting is not asked for it again
FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0
NEVER = float("inf")
ALIVE = frozenset({RemoteState.WAITING, RemoteState.RUNNING, RemoteState.SUCCEEDED, RemoteState.UNKNOWN})


class Time(Ticks, Protocol):
    """What an inventory needs of a clock."""

    def now(self) -> datetime:
        """The time of day, aware."""
        ...


@dataclass(frozen=True, slots=True)
class Kind(Generic[Record]):
    """What is particular to builds, or to deployments: how to list, whose a record is, and how its texts mark it."""

    fetch: Fetch[Record]
    owner_of: Callable[[Record], str | None]
    mark: Callable[[Record, Texts], Record] | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many records are in which state, as of the newest listing that went deepest; `previews`: alive ones."""

    states: Mapping[RemoteState, int] = field(default_factory=dict)
    previews: int = 0

    def of(self, *states: RemoteState) -> int:
        """How many are in one of these states."""
        return sum(self.states.get(state, 0) for state in states)


@dataclass(slots=True)
class _Follower:
    """A resource to wake; times are monotonic."""

    uid: str
    interest: Interest
    due: float
    deep_due: float


@dataclass(frozen=True, slots=True)
class _Due:
    """Whose turn it was when a listing began; `deep_uids`: who also had to be looked at all the way back."""

    uids: frozenset[str]
    deep_uids: frozenset[str]

    @staticmethod
    def of(followers: Iterable[_Follower], began: float) -> _Due:
        followers = tuple(followers)
        deep = frozenset(follower.uid for follower in followers if follower.deep_due <= began)
        return _Due(frozenset(follower.uid for follower in followers), deep)


@dataclass(frozen=True, slots=True)
class _Sight(Generic[Record]):
    """What a resource was last shown, or woken for."""

    records: tuple[Record, ...]
    missing: frozenset[str]


@dataclass(slots=True)
class _Round:
    """One listing, for whoever joins before it begins; afterwards, for those it happens to serve as well."""

    task: asyncio.Task[None] = field(init=False)
    asked: list[tuple[Interest, datetime]] = field(default_factory=list)
    layer: Layer | None = None  # as it began; `back_to`: how far it is to go


@dataclass(slots=True)
class _Tally:
    """What a listing shows beside the wanted records."""

    states: Counter[RemoteState] = field(default_factory=Counter)
    previews: int = 0
    agents: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.states.total()

    def add(self, records: Iterable[BuildRecord | DeploymentRecord]) -> None:
        for record in records:
            self._add(record)

    def _add(self, record: BuildRecord | DeploymentRecord) -> None:
        self.states[record.state] += 1
        if isinstance(record, DeploymentRecord):
            self.previews += record.expires_at is not None and record.state in ALIVE
        elif record.agent_id:
            self.agents.setdefault(record.agent_name, record.agent_id)


class Inventory(Generic[Record]):
    """The builds, or the deployments, of one account. All of it on one event loop.

    `jitter` answers a number in [0, 1); `wake` is told the uid of a followed resource whose remote side changed, or
    lacks an id it should have. `limit`: records per page. `keep`: so many are kept, whosever they are; of larger
    accounts only what is followed.
    """

    def __init__(
        self,
        kind: Kind[Record],
        clock: Time,
        jitter: Callable[[], float],
        wake: Callable[[str], None],
        *,
        limit: int = PAGE,
        keep: int = KEEP,
    ) -> None:
        self._kind: Kind[Record] = kind
        self._clock = clock
        self._jitter = jitter
        self._wake = wake
        self._limit = limit
        self._keep = keep
        self._known: Knowledge[Record] = Knowledge(kind.owner_of)
        self._followers: dict[str, _Follower] = {}
        self._shown: dict[str, _Sight[Record]] = {}
        self._running: _Round | None = None
        self._waiting: _Round | None = None
        self._counts: Counts | None = None
        self._agents: dict[str, str] = {}
        self._unsorted_until = 0.0
        self._failures = 0
        self._not_before = 0.0
        self._stir = asyncio.Event()

    # --- what resources say and ask -------------------------------------------------------------------------------

    def follow(self, uid: str, interest: Interest) -> None:
        """Look at this `every` so often, and wake `uid` when it changes; the newest interest of a uid counts."""
        follower = self._followers.get(uid)
        if follower is not None and follower.interest == interest:
            return
        due = self._clock.monotonic() + interest.every.total_seconds()
        deep_due = self._clock.monotonic() + _deep(interest).total_seconds()
        if follower is not None:
            due, deep_due = min(due, follower.due), min(deep_due, follower.deep_due)
        self._followers[uid] = _Follower(uid, interest, due, deep_due)
        self._stir.set()

    def forget(self, uid: str) -> None:
        """Nobody is interested any more."""
        follower = self._followers.pop(uid, None)
        if follower is not None:
            self._shown.pop(follower.interest.owner, None)

    async def look(self, interest: Interest, *, fresh_since: datetime | None) -> Listing[Record]:
        """What there is of this interest, by a listing that began at `fresh_since` or later.

        None: what is in flight may be `every` old, what lies deeper five minutes. Concurrent askers share one listing.
        Raises what the listing raised, and Unavailable where it could not go back far enough.
        """
        recent, deep = self._bars(interest, fresh_since)
        if (layer := self._standing(interest, recent, deep)) is None:
            await self._listed(interest, recent, deep)
            layer = self._standing(interest, recent, deep)
        if layer is None:
            raise Unavailable(f"The list could not be read back to {interest.back_to:%Y-%m-%dT%H:%M:%SZ}.")
        sight = self._sight(interest)
        self._shown[interest.owner] = sight
        return Listing(layer.began_at, layer.back_to, sight.records)

    def counts(self) -> Counts | None:
        """Everything in the account that its newest deepest listing showed; None before the first."""
        return self._counts

    def agent_id(self, name: str) -> str | None:
        """The id of the agent of this name, if a build of it was seen."""
        return self._agents.get(name)

    # --- the background -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """List whenever some interest is due, for ever; errors are backed off from, and told to nobody."""
        while True:
            if (wait := self._until_due()) > 0:
                await self._nap(wait)
            else:
                await self._list_once()

    def hasten(self) -> None:
        """Forget the backing off: the key or the account changed."""
        self._failures, self._not_before = 0, 0.0
        self._stir.set()

    async def close(self) -> None:
        """End the listings under way; whoever waits for one gets Unavailable."""
        tasks = [round_.task for round_ in (self._running, self._waiting) if round_ is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _list_once(self) -> None:
        try:
            await _ended(self._next_round())
        except ExternalError as error:
            self._back_off(error)
        except Exception:  # the last line: a bug must not end the polling of a whole account
            log.exception("a listing raised: this is a bug in the operator")
            self._back_off(None)

    def _back_off(self, error: ExternalError | None) -> None:
        self._failures += 1
        delay = min(FIRST_DELAY * 2.0 ** min(self._failures - 1, 16), LONGEST_DELAY) * (1 - self._jitter() / 2)
        if isinstance(error, Throttled) and error.retry_after:
            delay = max(delay, error.retry_after.total_seconds())
        self._not_before = self._clock.monotonic() + delay

    def _until_due(self) -> float:
        first = min((min(follower.due, follower.deep_due) for follower in self._followers.values()), default=NEVER)
        return max(first, self._not_before) - self._clock.monotonic()

    async def _nap(self, seconds: float) -> None:
        """Sleep, but not through a new interest."""
        self._stir.clear()
        stirred = asyncio.ensure_future(self._stir.wait())
        sleeps = {stirred} if seconds == NEVER else {stirred, asyncio.ensure_future(self._sleep(seconds))}
        try:
            await asyncio.wait(sleeps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for sleep in sleeps:
                sleep.cancel()
            await asyncio.gather(*sleeps, return_exceptions=True)

    async def _sleep(self, seconds: float) -> bool:
        await self._clock.sleep(max(seconds, 0.0))
        return True

    # --- fresh enough ---------------------------------------------------------------------------------------------

    def _bars(self, interest: Interest, fresh_since: datetime | None) -> tuple[Bar, Bar]:
        """How fresh the part in flight and the deeper part must be; the future cannot be asked for."""
        if fresh_since is not None:
            bar = self._bar(self._clock.now() - fresh_since)
            return bar, bar
        return self._bar(interest.every), self._bar(_deep(interest))

    def _bar(self, age: timedelta) -> Bar:
        age = max(age, timedelta())
        return Bar(self._clock.now() - age, self._clock.monotonic() - age.total_seconds())

    def _standing(self, interest: Interest, recent: Bar, deep: Bar) -> Layer | None:
        """The listing that vouches for the whole of an interest, if what is known is fresh enough."""
        in_flight = self._known.layer_for(interest, self._known.depth_of(interest))
        whole = self._known.layer_for(interest, interest.back_to)
        fresh = in_flight and whole and recent.passed_by(in_flight) and deep.passed_by(whole)
        return whole if fresh else None

    async def _listed(self, interest: Interest, recent: Bar, deep: Bar) -> None:
        need = self._need(interest, deep)
        running = self._running
        if running and running.layer and _serves(running.layer, interest, need) and recent.passed_by(running.layer):
            running.asked.append((interest, need))
            await _ended(running)
        else:
            await _ended(self._next_round((interest, need)))

    def _need(self, interest: Interest, deep: Bar) -> datetime:
        """How far back a new listing must go for this interest."""
        whole = self._known.layer_for(interest, interest.back_to)
        return self._known.depth_of(interest) if whole and deep.passed_by(whole) else interest.back_to

    # --- rounds ---------------------------------------------------------------------------------------------------

    def _next_round(self, *asked: tuple[Interest, datetime]) -> _Round:
        """The round that has not begun; it begins when the running one has ended."""
        if self._waiting is None:
            self._waiting = _Round()
            self._waiting.task = asyncio.create_task(self._hold_round(self._waiting, self._running), name="listing")
            self._waiting.task.add_done_callback(_retrieved)
        self._waiting.asked.extend(asked)
        return self._waiting

    async def _hold_round(self, round_: _Round, before: _Round | None) -> None:
        try:
            if before is not None:
                await asyncio.wait([before.task])
        finally:
            self._running, self._waiting = round_, None
        try:
            await self._list(round_)
        finally:
            self._running = None

    async def _list(self, round_: _Round) -> None:
        now: float = self._clock.monotonic()
        due: list[_Follower] = self._due_at(now)
        interests = [*(follower.interest for follower in self._followers.values()), *(one for one, _ in round_.asked)]
        needs = [*(self._need_when_due(follower, now) for follower in due), *(need for _, need in round_.asked)]
        round_.layer = Layer(self._clock.now(), now, min(needs, default=None), Wanted.by(interests))
        layer, records, tally = await self._walked(round_.layer)
        self._known.take(layer, records, self._keep)
        self._learn(tally, deepest=len(self._known.layers) == 1)
        self._tell({interest.owner for interest, _ in round_.asked}, _Due.of(due, round_.layer.began))
        self._failures = 0

    async def _walked(self, wish: Layer) -> tuple[Layer, list[Record], _Tally]:
        """One listing, down to what is needed: how far it got, the wanted records, and the tally of all."""
        scan = Scan(self._kind.fetch, self._limit, ordered=wish.began >= self._unsorted_until)
        records: list[Record] = []
        tally = _Tally()
        async with aclosing(scan.pages(wish.back_to)) as pages:
            async for page in pages:
                tally.add(page.records)
                marked: list[Record] = [await self._marked(record, page.texts, wish.wanted) for record in page.records]
                records = self._within_bounds(records + marked, wish.wanted, tally)
        if not scan.sorts and self._unsorted_until <= wish.began:
            self._unsorted_until = wish.began + UNSORTED_SECONDS
        return replace(wish, back_to=_reach(scan), everything=tally.total <= self._keep), records, tally

    def _within_bounds(self, records: list[Record], wanted: Wanted, tally: _Tally) -> list[Record]:
        """All of them while the account is small; of a large one, those that somebody wants."""
        if tally.total <= self._keep:
            return records
        return [record for record in records if self._known.wants(wanted, record)]

    async def _marked(self, record: Record, texts: Mapping[str, Texts], wanted: Wanted) -> Record:
        """A deployment without a token, with its fingerprint where that is wanted; others get to run in between."""
        if self._kind.mark is None or record.id not in texts or not wanted.fingerprints:
            return record
        await asyncio.sleep(0)
        return self._kind.mark(record, texts[record.id])

    def _learn(self, tally: _Tally, *, deepest: bool) -> None:
        self._agents |= tally.agents
        if deepest:
            self._counts = Counts(dict(tally.states), tally.previews)

    # --- followers ------------------------------------------------------------------------------------------------

    def _due_at(self, moment: float) -> list[_Follower]:
        """Those that are due, and those that would be in a moment: one listing serves both."""
        return [one for one in self._followers.values()
                if min(one.due, one.deep_due) <= moment + SPREAD * one.interest.every.total_seconds()]

    def _need_when_due(self, follower: _Follower, began: float) -> datetime:
        deep = follower.deep_due <= began
        return follower.interest.back_to if deep else self._known.depth_of(follower.interest)

    def _tell(self, asked: set[str], due: _Due) -> None:
        """Set everybody's next look, wake whoever's sight changed; those who asked are being told anyway."""
        factor = 1 + SPREAD * (2 * self._jitter() - 1)
        wanted = {follower.interest.owner for follower in self._followers.values()} | asked
        self._shown = {owner: sight for owner, sight in self._shown.items() if owner in wanted}
        for follower in tuple(self._followers.values()):
            self._reschedule(follower, factor, due)
            if follower.interest.owner not in asked:
                self._compare(follower, due=follower.uid in due.uids)

    def _reschedule(self, follower: _Follower, factor: float, served: _Due) -> None:
        """Next look: an interval after the listing that covered it; if none could, not at once again either."""
        interest, now = follower.interest, self._clock.monotonic()
        shallow = self._known.layer_for(interest, self._known.depth_of(interest))
        whole = self._known.layer_for(interest, interest.back_to)
        every, deep = interest.every.total_seconds() * factor, _deep(interest).total_seconds() * factor
        due = shallow.began + every if shallow else follower.due
        deep_due = whole.began + deep if whole else follower.deep_due
        follower.due = now + every if due <= now and follower.uid in served.uids else due
        follower.deep_due = now + deep if deep_due <= now and follower.uid in served.deep_uids else deep_due

    def _compare(self, follower: _Follower, *, due: bool) -> None:
        if self._known.layer_for(follower.interest, self._known.depth_of(follower.interest)) is None:
            return
        sight = self._sight(follower.interest)
        if sight != self._shown.get(follower.interest.owner) or (due and sight.missing):
            self._shown[follower.interest.owner] = sight
            self._wake(follower.uid)

    def _sight(self, interest: Interest) -> _Sight[Record]:
        records = self._known.records_of(interest)
        return _Sight(records, interest.ids - {record.id for record in records})


def _deep(interest: Interest) -> timedelta:
    return max(interest.every, DEEP_RESYNC)


def _serves(running: Layer, interest: Interest, need: datetime) -> bool:
    """Whether a listing under way was made for this interest too."""
    wanted = running.wanted
    marked = interest.fingerprint is None or interest.fingerprint in wanted.fingerprints
    return interest.owner in wanted.owners and interest.ids <= wanted.ids and marked and running.reaches(need)


async def _ended(round_: _Round) -> None:
    """Wait for a round without taking it along when we are cancelled; raises what it raised."""
    await asyncio.wait([round_.task])
    if round_.task.cancelled():
        raise Unavailable("The account is not in use any more.")
    round_.task.result()


def _reach(scan: Scan[Record]) -> datetime | None:
    """Since when everything was seen. Of those created in the same microsecond as the oldest, some may be missing."""
    if scan.complete:
        return None
    if not scan.ordered or scan.oldest is None:
        raise Unavailable("The list is not sorted and could not be read to its end.")
    return scan.oldest + timedelta(microseconds=1)


def _retrieved(task: asyncio.Task[None]) -> None:
    """Everybody who waited may have been cancelled; the error is nobody's then."""
    if not task.cancelled():
        task.exception()
