"""Due times: when each object is to be looked at again, in one heap and with one timer."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentex_operator.clock import Clock, Timer

SLACK = 64  # entries of the heap that may be overtaken, beside as many as count


class DueTimes:
    """Keeps the earliest time wanted for each object, and calls `due(uid)` once when that time has come.

    All times are of the clock's `monotonic`. An overtaken time stays in the heap until it reaches the top, or until the
    overtaken ones are the greater part of the heap.
    """

    def __init__(self, clock: Clock, due: Callable[[str], None]) -> None:
        self._clock = clock
        self._due = due
        self._heap: list[tuple[float, int, str]] = []
        self._earliest: dict[str, tuple[float, int]] = {}  # the time and the number of the entry that counts
        self._numbers = itertools.count()
        self._timer: Timer | None = None
        self._timer_at: float | None = None
        self._stopped = False

    def __len__(self) -> int:
        """The number of entries in the heap, overtaken ones included."""
        return len(self._heap)

    def want(self, uid: str, at: float) -> None:
        """Have the object due at that time, unless it is due earlier anyway."""
        wanted = self._earliest.get(uid)
        if wanted is None or at < wanted[0]:
            self._earliest[uid] = at, next(self._numbers)
            heapq.heappush(self._heap, (*self._earliest[uid], uid))
            self._compact()
            self._arm()

    def discard(self, uid: str) -> None:
        """Have the object due at no time."""
        self._earliest.pop(uid, None)

    def start(self) -> None:
        """Set the timer, now and whenever the earliest time changes. That is so from the beginning, until `stop`."""
        self._stopped = False
        self._arm()

    def stop(self) -> None:
        """Cancel the timer; nothing becomes due any more."""
        self._stopped = True
        self._disarm()

    def _compact(self) -> None:
        """Throw away the overtaken entries once they are the greater part of the heap."""
        if len(self._heap) > 2 * len(self._earliest) + SLACK:
            self._heap = [entry for entry in self._heap if self._counts(entry)]
            heapq.heapify(self._heap)

    def _counts(self, entry: tuple[float, int, str]) -> bool:
        at, number, uid = entry
        return self._earliest.get(uid) == (at, number)

    def _arm(self) -> None:
        """Set the one timer to the earliest time that counts."""
        while self._heap and not self._counts(self._heap[0]):
            heapq.heappop(self._heap)
        at = self._heap[0][0] if self._heap and not self._stopped else None
        if at == self._timer_at:
            return
        self._disarm()
        if at is not None:
            self._timer_at = at
            self._timer = self._clock.call_later(max(at - self._clock.monotonic(), 0.0), self._ring)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timer_at = None

    def _ring(self) -> None:
        self._timer = self._timer_at = None
        now = self._clock.monotonic()
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            if self._counts(entry):
                self.discard(entry[2])
                self._due(entry[2])
        self._arm()
