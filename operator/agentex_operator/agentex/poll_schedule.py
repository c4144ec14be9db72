"""The order in which followers become due for a listing. Pure values: no I/O, no clock."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

SPREAD = 0.1  # the interval varies by this part of itself, up and down
NEVER = float("inf")


class PollSchedule:
    """When each uid is due, in one heap for each interval: in a heap, what is due earlier may also be listed earlier.

    `when_due` answers when a uid is due (monotonic, seconds). Listings put that off, often for all; the time in a heap
    is brought up to date when it comes up. Call `put` where a uid may have become due earlier.
    """

    def __init__(self, when_due: Callable[[str], float]) -> None:
        self._when_due = when_due
        self._heaps: dict[timedelta, list[tuple[float, str]]] = {}
        self._entries: dict[str, tuple[timedelta, float]] = {}  # of each uid: its interval, and its time in that heap

    def put(self, uid: str, every: timedelta) -> None:
        """Have this uid, of this interval, found when it is due."""
        due, entry = self._when_due(uid), self._entries.get(uid)
        if entry is None or entry[0] != every or due < entry[1]:
            self._entries[uid] = every, due
            heapq.heappush(self._heaps.setdefault(every, []), (due, uid))

    def discard(self, uid: str) -> None:
        """Have this uid not found any more."""
        self._entries.pop(uid, None)

    def next_due(self) -> float:
        """When the first uid is due; NEVER without one."""
        first = {every: self._first(every) for every in self._heaps}
        self._heaps = {every: heap for every, heap in self._heaps.items() if heap}
        return min(first.values(), default=NEVER)

    def due_at(self, moment: float) -> list[str]:
        """The uids that are due then, or within a tenth of their interval: one listing serves both."""
        return [uid for every in self._heaps for uid in self._until(every, moment + SPREAD * every.total_seconds())]

    def _until(self, every: timedelta, moment: float) -> set[str]:
        heap, taken = self._heaps[every], []
        while heap and heap[0][0] <= moment and self._first(every) <= moment:
            taken.append(heapq.heappop(heap))
        for entry in taken:
            heapq.heappush(heap, entry)
        return {uid for _, uid in taken}

    def _first(self, every: timedelta) -> float:
        """When the first uid of this interval is due; NEVER without one."""
        heap = self._heaps[every]
        while heap:
            at, uid = heap[0]
            if self._entries.get(uid) != (every, at):
                heapq.heappop(heap)  # overtaken by another entry
            elif (due := self._when_due(uid)) > at:
                self._entries[uid] = every, due
                heapq.heapreplace(heap, (due, uid))
            else:
                return at
        return NEVER
