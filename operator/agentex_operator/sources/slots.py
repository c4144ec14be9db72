"""The slots in which sources are read: how many at once, and how long a reader waits for one."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from agentex_operator.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentex_operator.sources.limits import ContextLimits


class SourceSlots:
    """As many slots as the limits say. Slow servers may hold all of them, but no pass waits for ever."""

    def __init__(self, limits: ContextLimits) -> None:
        self._free = asyncio.Semaphore(limits.at_once)
        self._longest_wait = limits.longest_wait

    @contextlib.asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Hold a slot within this context. Raises Unavailable if none becomes free in time."""
        try:
            async with asyncio.timeout(self._longest_wait):
                await self._free.acquire()
        except TimeoutError:
            raise Unavailable(f"Other sources were being read for {self._longest_wait:g} s, so this one was not. It is "
                              "tried again.") from None
        try:
            yield
        finally:
            self._free.release()
