"""The work queue: which objects need a pass now, which later, and how long to wait after failures.

    add ────────> ready (FIFO) ──> get ──> the pass of a worker ──> requeue(outcome), done
                    ^                                                       │
    add_after ──> due times (one heap, one timer) <── requeue_after, backoff ┘

An object that is added while its pass is in flight is queued again when the pass is done, so that no object has two
passes at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from agentex_operator.reconcile.due_times import DueTimes

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
    """The queue at one moment; `due_times` counts overtaken ones too."""

    depth: int
    in_flight: int
    due_times: int
    oldest_wait: timedelta
    longest_pass: timedelta


@dataclass(slots=True, eq=False)
class _Item:
    """What the queue keeps of one object."""

    uid: str
    queued_at: float | None = None
    again: bool = False  # added while its pass was in flight
    failures: int = 0
    retry_at: float = 0.0  # until when the backoff after the last failure lasts
    dropped: bool = False


class WorkQueue:
    """Hands out each object that is added or due to one worker at a time, in the order in which they were added."""

    def __init__(self, clock: Clock, jitter: Callable[[], float], backoff: Backoff) -> None:
        self._clock = clock
        self._jitter = jitter
        self._backoff = backoff
        self._items: dict[str, _Item] = {}
        self._ready: asyncio.Queue[_Item] = asyncio.Queue()
        self._due = DueTimes(clock, self.add)
        self._in_flight: dict[str, float] = {}  # when the pass of each of these objects started
        self.shut = False

    # -- adding ----------------------------------------------------------------------------------------------------

    def add(self, uid: str) -> None:
        """Have a pass soon; during a pass, have another one after it."""
        if self.shut:
            return
        item = self._item(uid)
        if uid in self._in_flight:
            item.again = True
        elif item.queued_at is None:
            item.queued_at = self._clock.monotonic()
            self._ready.put_nowait(item)

    def add_after(self, uid: str, delay: timedelta) -> None:
        """Have a pass no later than `delay` from now; of several delays the one that ends first counts."""
        if not self.shut:
            self._item(uid)
            self._due.want(uid, self._clock.monotonic() + max(delay.total_seconds(), 0.0))

    def drop(self, uid: str) -> None:
        """Forget an object that has gone: it is not handed out any more, until it is added again."""
        item = self._items.pop(uid, None)
        if item is not None:
            item.dropped = True
            self._due.discard(uid)

    def _item(self, uid: str) -> _Item:
        return self._items.setdefault(uid, _Item(uid))

    # -- handing out -----------------------------------------------------------------------------------------------

    async def get(self) -> str:
        """Wait for the next object, and hand it out; `done` must follow. The pass uses up its due time."""
        while (item := await self._ready.get()).dropped:
            pass
        item.queued_at, item.again = None, False
        self._due.discard(item.uid)
        self._in_flight[item.uid] = self._clock.monotonic()
        return item.uid

    def requeue(self, uid: str, outcome: Outcome) -> None:
        """Take in the outcome of a pass that is about to end: count failures in a row, and set the next due time."""
        item = self._items.get(uid)
        if item is None:
            return
        item.failures = self._failures_with(item, outcome)
        if (delay := self._delay(item.failures, outcome)) is not None:
            self.add_after(uid, delay)
            item.retry_at = self._clock.monotonic() + delay.total_seconds() if outcome.failed else 0.0

    def _failures_with(self, item: _Item, outcome: Outcome) -> int:
        """A pass that was woken before the backoff was over does not count: it would make the next delay longer."""
        if not outcome.failed:
            return 0
        early = self._in_flight[item.uid] + TIMER_TOLERANCE < item.retry_at
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
        if item is not None and item.again:
            self.add(uid)

    # -- opening and shutting --------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take in objects, as from the beginning, after `shut_down`."""
        self.shut = False
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
        waits = [now - item.queued_at for item in self._items.values() if item.queued_at is not None]
        passes = [now - started_at for started_at in self._in_flight.values()]
        return QueueStats(
            depth=len(waits),
            in_flight=len(passes),
            due_times=len(self._due),
            oldest_wait=timedelta(seconds=max(waits, default=0.0)),
            longest_pass=timedelta(seconds=max(passes, default=0.0)),
        )
