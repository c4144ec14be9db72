"""The work queue: which objects need a pass now, which later, and how long to wait after failures.

    add ────────> ready (by urgency) ──> take ──> the pass ──> requeue(outcome), done
                    ^                                                 │
    add_after ──> due times (one heap, one timer) <── requeue_after, backoff

An object that is added while its pass is in flight is queued again when the pass is done, so that no object has two
passes at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from agentex_operator.reconcile import urgency
from agentex_operator.reconcile.due_times import DueTimes
from agentex_operator.reconcile.ready_queue import ReadyQueue
from agentex_operator.reconcile.urgency import Urgency

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentex_operator.clock import Clock

REQUEUE_SPREAD = 0.1  # a requeue is late by up to a tenth, so that passes started together do not stay together
TIMER_TOLERANCE = 0.05  # seconds by which a timer may ring before its time


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a pass: when to run the next one if nothing wakes the object before, and whether it failed."""

    requeue_after: timedelta | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that grow from `first` by `factor` up to `cap`; jitter takes away up to half of each."""

    first: timedelta = timedelta(seconds=1)
    cap: timedelta = timedelta(minutes=5)
    factor: float = 2.0

    def delay(self, failures: int, jitter: float) -> timedelta:
        """The time to wait after that many failures in a row (>= 1); jitter in [0, 1)."""
        exponent = min(failures - 1, 64)  # far beyond any cap, far below a float's end
        seconds = min(self.first.total_seconds() * self.factor**exponent, self.cap.total_seconds())
        return timedelta(seconds=seconds * (1 - jitter / 2))


@dataclass(frozen=True, slots=True)
class QueueStats:
    """The queue at one moment; `due_times` counts overtaken ones too.

    `not_begun`: how many objects that were there at the start wait for their first pass.
    """

    depth: int
    not_begun: int
    in_flight: int
    due_times: int
    oldest_wait: timedelta
    longest_pass: timedelta


@dataclass(slots=True, eq=False)
class _Item:
    """What the queue keeps of one object."""

    again: Urgency | None = None          # how urgently it was added while its pass was in flight
    when_due: Urgency = Urgency.ROUTINE   # the urgency of its due time
    failures: int = 0
    retry_at: float = 0.0                 # until when the backoff after the last failure lasts


class WorkQueue:
    """Hands out each object that is added or due to one worker at a time, the most urgent first.

    `goes_first`: whether the object of a uid is urgent whatever the reason.
    """

    def __init__(self, clock: Clock, jitter: Callable[[], float], backoff: Backoff,
                 goes_first: Callable[[str], bool] = lambda _: False) -> None:
        self._clock = clock
        self._jitter = jitter
        self._backoff = backoff
        self._goes_first = goes_first
        self._items: dict[str, _Item] = {}
        self._ready = ReadyQueue()
        self._due = DueTimes(clock, self._add_due)
        self._in_flight: dict[str, float] = {}  # when the pass of each of these objects started
        self._not_begun: set[str] = set()  # objects that were there when the queue was opened, until their first pass
        self.shut = False

    # -- adding ----------------------------------------------------------------------------------------------------

    def add(self, uid: str, urgent: Urgency = Urgency.CHANGED) -> None:
        """Have a pass soon; during a pass, have another one after it."""
        if self.shut:
            return
        item = self._item(uid)
        if uid in self._in_flight:
            item.again = urgent if item.again is None else min(item.again, urgent)
        else:
            self._ready.add(uid, Urgency.NEWS if self._goes_first(uid) else urgent, self._clock.monotonic())

    def add_after(self, uid: str, delay: timedelta) -> None:
        """Have a pass no later than `delay` from now; of several delays the one that ends first counts."""
        if not self.shut:
            item = self._item(uid)
            item.when_due = min(item.when_due, urgency.of_delay(delay))
            self._due.want(uid, self._clock.monotonic() + max(delay.total_seconds(), 0.0))

    def drop(self, uid: str) -> None:
        """Forget an object that has gone: it is not handed out any more, until it is added again."""
        if self._items.pop(uid, None) is not None:
            self._ready.discard(uid)
            self._due.discard(uid)
            self._not_begun.discard(uid)

    def _add_due(self, uid: str) -> None:
        self.add(uid, self._item(uid).when_due)

    def _item(self, uid: str) -> _Item:
        return self._items.setdefault(uid, _Item())

    # -- handing out -----------------------------------------------------------------------------------------------

    async def filled(self) -> None:
        """Return when there is an object to hand out."""
        await self._ready.filled()

    def take(self) -> str | None:
        """Hand out the next object; None if there is none. `done` must follow. The pass uses up its due time."""
        if (uid := self._ready.take()) is None:
            return None
        item = self._items[uid]
        item.again, item.when_due = None, Urgency.ROUTINE
        self._due.discard(uid)
        self._not_begun.discard(uid)
        self._in_flight[uid] = self._clock.monotonic()
        return uid

    def requeue(self, uid: str, outcome: Outcome) -> None:
        """Take in the outcome of a pass that is about to end: count failures in a row, and set the next due time."""
        item = self._items.get(uid)
        if item is None:
            return
        item.failures = self._failures_with(uid, item, outcome)
        if (delay := self._delay(item.failures, outcome)) is not None:
            self.add_after(uid, delay)
            item.retry_at = self._clock.monotonic() + delay.total_seconds() if outcome.failed else 0.0

    def _failures_with(self, uid: str, item: _Item, outcome: Outcome) -> int:
        """A pass that was woken before the backoff was over does not count: it would make the next delay longer."""
        if not outcome.failed:
            return 0
        early = self._in_flight[uid] + TIMER_TOLERANCE < item.retry_at
        return max(item.failures + (not early), 1)

    def _delay(self, failures: int, outcome: Outcome) -> timedelta | None:
        asked = outcome.requeue_after
        if failures:
            return max(self._backoff.delay(failures, self._jitter()), asked or timedelta())
        return asked * (1 + REQUEUE_SPREAD * self._jitter()) if asked is not None else None

    def done(self, uid: str) -> None:
        """End the pass of an object; if the object was added meanwhile, it is queued now."""
        del self._in_flight[uid]
        item = self._items.get(uid)
        if item is not None and item.again is not None:
            self.add(uid, item.again)

    # -- opening and shutting --------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take in objects, as from the beginning, after `shut_down`."""
        self.shut = False
        self._not_begun = set(self._ready.uids)
        self._due.start()

    def shut_down(self) -> None:
        """Take in nothing any more, and let nothing become due."""
        self.shut = True
        self._due.stop()

    # -- reading ---------------------------------------------------------------------------------------------------

    def failures(self, uid: str) -> int:
        """How many passes of an object failed in a row."""
        item = self._items.get(uid)
        return item.failures if item else 0

    @property
    def stats(self) -> QueueStats:
        """Numbers of objects queued and in flight, and the age of the oldest of each."""
        now = self._clock.monotonic()
        passes = [now - started_at for started_at in self._in_flight.values()]
        return QueueStats(
            depth=len(self._ready),
            not_begun=len(self._not_begun),
            in_flight=len(passes),
            due_times=len(self._due),
            oldest_wait=timedelta(seconds=self._ready.longest_wait(now)),
            longest_pass=timedelta(seconds=max(passes, default=0.0)),
        )
