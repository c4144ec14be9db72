"""Control a watch while a plan runs: drop its events, end it, break it, or act when the next event is passed on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from tests.faults.scenarios.watch_distortion import EXPIRED, Ahead, reading

from agentex_testkit.fault_proxy.calls import Call

LOOK = 0.05  # seconds between two looks for what the plan asks for


@dataclass
class WatchControl:
    """A watch filter for one collection. The thread of the plan calls the methods, the fault proxy the filter."""

    what: str
    dropped: int = 0        # events
    _drops: bool = False
    _end: str = ""          # how the open watch ends now
    _at_event: list[Callable[[], None]] = field(default_factory=list)

    def drop(self) -> None:
        """Pass on no event of the open watch from now on."""
        self._drops = True

    def finish(self, how: str) -> None:
        """End the open watch: `end` as the API server does, `expire` with 410 in the stream, `break` the connection."""
        self._end = how

    def at_next_event(self, act: Callable[[], None]) -> None:
        """Call `act` once, in the thread of the fault proxy, right after the next event is passed on."""
        self._at_event.append(act)

    async def refuse(self, _call: Call) -> tuple[int, bytes] | None:
        """Refuse no watch: a plan has faults of single calls for that."""
        return None

    def lines(self, call: Call, upstream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The events as the operator sees them."""
        return self._lines(upstream) if call.what == self.what else upstream

    async def _lines(self, upstream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self._drops, self._end = False, ""
        async with reading(upstream) as ahead:
            while (line := await self._next(ahead)) is not None:
                if self._drops:
                    self.dropped += 1
                    continue
                yield line
                while self._at_event:
                    self._at_event.pop()()
        if self._end == "expire":
            yield json.dumps({"type": "ERROR", "object": EXPIRED}).encode() + b"\n"
        if self._end == "break":
            raise ConnectionResetError

    async def _next(self, ahead: Ahead) -> bytes | None:
        """The next event; None where the watch ends."""
        coming = asyncio.ensure_future(ahead.next())
        try:
            while not coming.done() and not self._end:
                await asyncio.wait([coming], timeout=LOOK)
            found = coming.result() if coming.done() else None
        finally:
            coming.cancel()
        return found[1] if found else None
