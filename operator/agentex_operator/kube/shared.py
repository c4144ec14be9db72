"""Reads shared: who asks for what is already being asked for gets the same answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentex_operator.clock import Clock

Answer = dict[str, Any] | None
Ask = Callable[[str], Awaitable[Answer]]

MOST_KEPT = 1024


class SharedReads:
    """Coalesces concurrent identical reads, and keeps answers for `seconds` (0: not a moment longer than the call)."""

    def __init__(self, ask: Ask, clock: Clock, seconds: float) -> None:
        self._ask = ask
        self._clock = clock
        self._seconds = seconds
        self._asking: dict[str, asyncio.Future[Answer]] = {}
        self._kept: dict[str, tuple[float, Answer]] = {}

    async def get(self, path: str) -> Answer:
        """The answer, one call for all who wait for it. Raises what `ask` raised, to each of them."""
        while path in self._asking:
            try:
                return await asyncio.shield(self._asking[path])
            except _AskerLeftError:
                continue
        until, answer = self._kept.get(path, (0.0, None))
        return answer if self._clock.monotonic() < until else await self._ask_for_all(path)

    async def _ask_for_all(self, path: str) -> Answer:
        asking = self._asking[path] = asyncio.get_running_loop().create_future()
        asking.add_done_callback(_mark_as_seen)
        try:
            answer = await self._ask(path)
        except Exception as error:
            asking.set_exception(error)
            raise
        else:
            self._keep(path, answer)
            asking.set_result(answer)
            return answer
        finally:
            del self._asking[path]
            if not asking.done():  # the asker was cancelled: one of the others asks again
                asking.set_exception(_AskerLeftError())

    def _keep(self, path: str, answer: Answer) -> None:
        if self._seconds <= 0:
            return
        now = self._clock.monotonic()
        if len(self._kept) >= MOST_KEPT:
            self._kept = {key: entry for key, entry in self._kept.items() if now < entry[0]}
        if len(self._kept) < MOST_KEPT:
            self._kept[path] = (now + self._seconds, answer)


class _AskerLeftError(Exception):
    """Whoever was asking for all of us was cancelled."""


def _mark_as_seen(asked: asyncio.Future[Answer]) -> None:
    """A failure nobody else waited for is no news to asyncio's log: its asker raised it."""
    if not asked.cancelled():
        asked.exception()
