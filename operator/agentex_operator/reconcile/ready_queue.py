"""The objects that need a pass now, the most urgent first, and none of them for ever behind more urgent ones."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from agentex_operator.reconcile.urgency import Urgency

if TYPE_CHECKING:
    from collections.abc import Iterator

FAIR_SHARE = 4  # of so many objects that are handed out, one is the one that has waited longest


class ReadyQueue:
    """Hands out each uid once, by urgency, then in the order in which they were added."""

    def __init__(self) -> None:
        self._lines: dict[Urgency, deque[str]] = {urgency: deque() for urgency in Urgency}
        self._urgency: dict[str, Urgency] = {}      # of each uid that waits
        self._since: dict[str, float] = {}          # when each of them began to wait (monotonic, seconds)
        self._filled = asyncio.Event()
        self._handed_out = 0

    def __len__(self) -> int:
        """How many uids wait."""
        return len(self._urgency)

    @property
    def uids(self) -> tuple[str, ...]:
        """The uids that wait, in no particular order."""
        return tuple(self._urgency)

    def longest_wait(self, now: float) -> float:
        """How long the uid that has waited longest has waited, in seconds; 0 if none waits."""
        return now - min(self._since.values(), default=now)

    def add(self, uid: str, urgency: Urgency, now: float) -> None:
        """Have the uid handed out; one that waits already keeps its place, unless it is more urgent now."""
        known = self._urgency.get(uid)
        if known is not None and known <= urgency:
            return
        self._urgency[uid] = urgency
        self._since.setdefault(uid, now)
        self._lines[urgency].append(uid)
        self._filled.set()

    def discard(self, uid: str) -> None:
        """Hand the uid out no more, unless it is added again."""
        self._urgency.pop(uid, None)
        self._since.pop(uid, None)
        if not self._urgency:
            self._filled.clear()

    async def filled(self) -> None:
        """Return when a uid waits."""
        await self._filled.wait()

    def take(self) -> str | None:
        """Hand out the next uid; None if none waits."""
        line = self._next_line()
        if line is None:
            return None
        self._handed_out += 1
        uid = line.popleft()
        self.discard(uid)
        return uid

    def _next_line(self) -> deque[str] | None:
        """The line whose first uid comes next; None if none waits."""
        lines = list(self._heads())
        if lines and self._handed_out % FAIR_SHARE == FAIR_SHARE - 1:
            return min(lines, key=lambda line: self._since[line[0]])
        return next(iter(lines), None)

    def _heads(self) -> Iterator[deque[str]]:
        """The lines, the most urgent first, that are not empty once what is no more in its place is dropped."""
        for urgency, line in self._lines.items():
            while line and self._urgency.get(line[0]) is not urgency:
                line.popleft()
            if line:
                yield line
