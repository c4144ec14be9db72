"""Distort what the operator sees of a watch.

    late=S        every event comes S seconds late               newest=S   for S seconds nothing, then only the newest
    twice         every event comes again, after the next one     back       every event is followed by an older one
    once=N        only the first N events, then silence for a while, then the rest
    gone=N        after N events the watch ends with 410 in the stream; 410 again when it is asked from there
    refused=N     after N events the watch is cut, and answered 410 as a status, then 500, before it works again
    error=N       after N events an ERROR event of another kind: the operator may end, and is started again
    torn=N        after N events the connection breaks in the middle of a line
    silent=S      nothing but silence for the first S seconds of every watch
    first=S       the first event of every object comes S seconds late, and what follows it waits for it

With `@agentbuilds` or `@agentdeployments` after it, only that watch is distorted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agentex_testkit.fault_proxy.calls import Call

OURS = ("agentbuilds", "agentdeployments")
EXPIRED = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410,
           "message": "too old resource version"}
BROKEN = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "InternalError", "code": 500,
          "message": "etcdserver: request timed out"}
PAUSE = 2.0


@dataclass
class WatchDistortion:
    """One way to distort the watches of our resources; `amount` is the number after the `=`."""

    how: str
    amount: float
    of: tuple[str, ...] = OURS
    _refusals: list[int] = field(default_factory=list)
    _done: set[str] = field(default_factory=set)   # collections at which it happened already

    @classmethod
    def parse(cls, text: str) -> WatchDistortion:
        """The distortion of that name."""
        distortion, _, of = text.partition("@")
        how, _, amount = distortion.partition("=")
        return cls(how, float(amount or 0), (of,) if of else OURS)

    @property
    def happened(self) -> bool:
        """Whether the distortion came to pass; one that waits for so many events may wait in vain."""
        return bool(self._done) or self.how not in ("gone", "refused", "error", "torn")

    @property
    def late(self) -> float:
        """How many seconds late the operator may see the last event."""
        return self.amount if self.how in ("late", "newest", "silent", "first") else 0

    async def refuse(self, call: Call) -> tuple[int, bytes] | None:
        """The answer to a watch after it was cut, if any."""
        if call.what not in self.of or not self._refusals:
            return None
        status = self._refusals.pop(0)
        return status, json.dumps(EXPIRED if status == 410 else BROKEN).encode()

    def lines(self, call: Call, upstream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The events as the operator sees them."""
        if call.what not in self.of:
            return upstream
        shown: dict[str, Callable[[Call, AsyncIterator[bytes]], AsyncIterator[bytes]]] = {
            "late": self._late, "newest": self._newest, "twice": self._twice, "back": self._back, "once": self._once,
            "gone": self._gone, "refused": self._refused, "error": self._error, "torn": self._torn,
            "silent": self._silent, "first": self._first,
        }
        return shown[self.how](call, upstream)

    async def _late(self, _call: Call, upstream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """In order, each so many seconds late."""
        async with reading(upstream) as ahead:
            while (found := await ahead.next()) is not None:
                came, line = found
                await asyncio.sleep(max(0.0, came + self.amount - asyncio.get_running_loop().time()))
                yield line

    async def _first(self, _call: Call, upstream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        seen: set[str] = set()
        async for line in upstream:
            if uid_of(line) not in seen:
                seen.add(uid_of(line))
                await asyncio.sleep(self.amount)
            yield line

    async def _newest(self, _call: Call, upstream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Of the events of a while, the last of each object; an object that came and went is never shown."""
        async with reading(upstream) as ahead:
            while (first := await ahead.next()) is not None:
                await asyncio.sleep(self.amount)
                lines = [first[1], *(line for _, line in ahead.waiting())]
                came = {uid_of(line) for line in lines if b'"type":"ADDED"' in line}
                for uid, line in {uid_of(line): line for line in lines}.items():
                    if uid not in came or b'"type":"DELETED"' not in line:
                        yield line

    async def _twice(self, _call: Call, upstream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        before = b""
        async for line in upstream:
            yield line
            if before:
                yield before
            before = line

    async def _back(self, _call: Call, upstream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """After each event, the oldest event of the same object again."""
        first: dict[str, bytes] = {}
        async for line in upstream:
            yield line
            oldest = first.setdefault(uid_of(line), line)
            if oldest != line and b'"type":"DELETED"' not in line:
                yield oldest.replace(b'"type":"ADDED"', b'"type":"MODIFIED"', 1)

    async def _once(self, _call: Call, upstream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        number = 0
        async for line in upstream:
            if number == self.amount:
                await asyncio.sleep(PAUSE)
            number += 1
            yield line

    async def _silent(self, _call: Call, upstream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        await asyncio.sleep(self.amount)
        async for line in upstream:
            yield line

    async def _gone(self, call: Call, upstream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for line in self._until(call, upstream):
            yield line
        if self._first_time(call):
            yield json.dumps({"type": "ERROR", "object": EXPIRED}).encode() + b"\n"
            self._refusals.append(410)

    async def _refused(self, call: Call, upstream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for line in self._until(call, upstream):
            yield line
        if self._first_time(call):
            self._refusals += [410, 500]

    async def _error(self, call: Call, upstream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for line in self._until(call, upstream):
            yield line
        if self._first_time(call):
            yield json.dumps({"type": "ERROR", "object": BROKEN}).encode() + b"\n"

    async def _torn(self, call: Call, upstream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        last = b""
        async for line in self._until(call, upstream):
            last = line
            yield line
        if self._first_time(call) and last:
            yield last[: len(last) // 2]

    async def _until(self, call: Call, upstream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The first events; all of them if the watch was cut before."""
        number = 0
        async for line in upstream:
            yield line
            number += 1
            if number >= self.amount and call.what not in self._done:
                return

    def _first_time(self, call: Call) -> bool:
        first = call.what not in self._done
        self._done.add(call.what)
        return first


def uid_of(line: bytes) -> str:
    """The uid of the object of an event."""
    return str(json.loads(line)["object"].get("metadata", {}).get("uid"))


class Ahead:
    """Lines that are read as they come, each with the time at which it came."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()

    async def read(self, upstream: AsyncIterator[bytes]) -> None:
        """Read all lines."""
        try:
            async for line in upstream:
                self._queue.put_nowait((asyncio.get_running_loop().time(), line))
        finally:
            self._queue.put_nowait(None)

    async def next(self) -> tuple[float, bytes] | None:
        """The next line; None at the end."""
        return await self._queue.get()

    def waiting(self) -> Iterator[tuple[float, bytes]]:
        """All lines that have come."""
        while not self._queue.empty():
            found = self._queue.get_nowait()
            if found is None:
                self._queue.put_nowait(None)
                return
            yield found


@asynccontextmanager
async def reading(upstream: AsyncIterator[bytes]) -> AsyncIterator[Ahead]:
    """Read ahead within this context."""
    ahead = Ahead()
    reader = asyncio.ensure_future(ahead.read(upstream))
    try:
        yield ahead
    finally:
        reader.cancel()
