"""The slots of passes: how many run at once, and how a pass that waits for a shared listing or look lets others run."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MOST_WAITING = 16  # passes per slot that wait without one: each keeps its object and what it has read so far


class Slots:
    """So many slots as `count`; a pass has one from its begin to its end, but for the times when it gave it back."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self._may_wait = count * MOST_WAITING

    async def take(self) -> None:
        """Wait for a free slot, and take it."""
        await self._free.acquire()

    def give_back(self) -> None:
        """Let somebody else take the slot."""
        self._free.release()

    @asynccontextmanager
    async def given_back(self) -> AsyncIterator[None]:
        """Within this context the pass has no slot; the context ends when the pass has one again.

        Where as many passes wait as may, the pass keeps its slot.
        """
        if self._may_wait == 0:
            yield
            return
        self._may_wait -= 1
        self.give_back()
        try:
            yield
        finally:
            await self.take()
            self._may_wait += 1
