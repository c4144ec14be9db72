"""Shared reads: concurrent reads of one path are one request, whose answer may be cached for some seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentex_operator.clock import Clock

Answer = dict[str, Any] | None
Read = Callable[[str], Awaitable[Answer]]

MOST_CACHED = 1024  # answers


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """A request in flight, and when it was sent."""

    sent_at: float
    answer: asyncio.Future[Answer]


@dataclass(frozen=True, slots=True)
class _CachedAnswer:
    """An answer, when its request was sent, and when it expires."""

    sent_at: float
    expires_at: float
    answer: Answer


class SharedReads:
    """Shares requests between concurrent readers, and caches answers for `seconds` (0: not at all).

    All times are of the clock's `monotonic`.
    """

    def __init__(self, read: Read, clock: Clock, seconds: float) -> None:
        self._read = read
        self._clock = clock
        self._seconds = seconds
        self._in_flight: dict[str, _Request] = {}
        self._cache: dict[str, _CachedAnswer] = {}

    async def get(self, path: str, since: float = 0.0) -> Answer:
        """The answer to a request for this path that was sent at `since` or later. Raises what `read` raises."""
        while (request := self._in_flight.get(path)) is not None and request.sent_at >= since:
            try:
                return await asyncio.shield(request.answer)
            except _ReaderCancelledError:
                continue
        cached = self._cache.get(path)
        if cached is not None and cached.sent_at >= since and self._clock.monotonic() < cached.expires_at:
            return cached.answer
        return await self._send(path)

    def forget(self, path: str) -> None:
        """Drop the cached answer of a path that has changed; requests in flight are not shared any more."""
        self._in_flight.pop(path, None)
        self._cache.pop(path, None)

    def forget_all(self) -> None:
        """Drop every cached answer; requests in flight are not shared any more."""
        self._in_flight.clear()
        self._cache.clear()

    async def _send(self, path: str) -> Answer:
        """Read for all who ask for this path until the answer is there."""
        request = _Request(self._clock.monotonic(), asyncio.get_running_loop().create_future())
        request.answer.add_done_callback(_mark_as_retrieved)
        self._in_flight[path] = request
        try:
            answer = await self._read(path)
        except Exception as error:
            request.answer.set_exception(error)
            raise
        else:
            if self._in_flight.get(path) is request:  # else a newer request is in flight, or the path was forgotten
                self._store(path, request.sent_at, answer)
            request.answer.set_result(answer)
            return answer
        finally:
            if self._in_flight.get(path) is request:
                del self._in_flight[path]
            if not request.answer.done():  # the reader was cancelled: another of those who wait sends a request
                request.answer.set_exception(_ReaderCancelledError())

    def _store(self, path: str, sent_at: float, answer: Answer) -> None:
        now, before = self._clock.monotonic(), self._cache.get(path)
        if self._seconds <= 0 or (before is not None and before.sent_at > sent_at):
            return
        if len(self._cache) >= MOST_CACHED:
            self._cache = {key: cached for key, cached in self._cache.items() if now < cached.expires_at}
        if len(self._cache) < MOST_CACHED:
            self._cache[path] = _CachedAnswer(sent_at, now + self._seconds, answer)


class _ReaderCancelledError(Exception):
    """The reader that had sent the request for all others was cancelled."""


def _mark_as_retrieved(answer: asyncio.Future[Answer]) -> None:
    """Keep asyncio from logging an exception that no other reader waited for: the sender raises it."""
    if not answer.cancelled():
        answer.exception()
