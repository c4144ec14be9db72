"""Reads shared: who asks for what is already being asked for gets the same answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentex_operator.clock import Clock

Answer = dict[str, Any] | None
Ask = Callable[[str], Awaitable[Answer]]

MOST_KEPT = 1024


@dataclass(frozen=True, slots=True, eq=False)
class _Asking:
    """A call under way, and when it was made."""

    since: float
    answer: asyncio.Future[Answer]


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer, when it was asked for, and until when it is believed."""

    since: float
    until: float
    answer: Answer


class SharedReads:
    """Coalesces concurrent identical reads, and keeps answers for `seconds` (0: not a moment longer than the call).

    All moments are of the clock's `monotonic`.
    """

    def __init__(self, ask: Ask, clock: Clock, seconds: float) -> None:
        self._ask = ask
        self._clock = clock
        self._seconds = seconds
        self._asking: dict[str, _Asking] = {}
        self._kept: dict[str, _Kept] = {}

    async def get(self, path: str, since: float = 0.0) -> Answer:
        """The answer, one call for all who wait for it; nothing that was asked for before `since` will do.

        Raises what `ask` raised, to each of them.
        """
        while (asking := self._asking.get(path)) is not None and asking.since >= since:
            try:
                return await asyncio.shield(asking.answer)
            except _AskerLeftError:
                continue
        kept = self._kept.get(path)
        if kept is not None and kept.since >= since and self._clock.monotonic() < kept.until:
            return kept.answer
        return await self._ask_for_all(path)

    async def _ask_for_all(self, path: str) -> Answer:
        asking = _Asking(self._clock.monotonic(), asyncio.get_running_loop().create_future())
        asking.answer.add_done_callback(_mark_as_seen)
        self._asking[path] = asking
        try:
            answer = await self._ask(path)
        except Exception as error:
            asking.answer.set_exception(error)
            raise
        else:
            self._keep(path, asking.since, answer)
            asking.answer.set_result(answer)
            return answer
        finally:
            if self._asking.get(path) is asking:
                del self._asking[path]
            if not asking.answer.done():  # the asker was cancelled: one of the others asks again
                asking.answer.set_exception(_AskerLeftError())

    def _keep(self, path: str, since: float, answer: Answer) -> None:
        now, before = self._clock.monotonic(), self._kept.get(path)
        if self._seconds <= 0 or (before is not None and before.since > since):
            return
        if len(self._kept) >= MOST_KEPT:
            self._kept = {key: kept for key, kept in self._kept.items() if now < kept.until}
        if len(self._kept) < MOST_KEPT:
            self._kept[path] = _Kept(since, now + self._seconds, answer)


class _AskerLeftError(Exception):
    """Whoever was asking for all of us was cancelled."""


def _mark_as_seen(asked: asyncio.Future[Answer]) -> None:
    """A failure nobody else waited for is no news to asyncio's log: its asker raised it."""
    if not asked.cancelled():
        asked.exception()
