"""The one place that reads the clock."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer(Protocol):
    """Something that will happen, unless cancelled first."""

    def cancel(self) -> None:
        """Make it not happen; harmless afterwards."""


class Clock:
    """The wall clock, the monotonic clock and the event loop's timers, as the rest of the program sees them."""

    def now(self) -> datetime:
        """The time of day, aware, in UTC; only for what people and other machines read."""
        return datetime.now(UTC)  # noqa: TID251 - this is the place that may

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never jump; for every duration."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let others run for that many seconds."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back once, on the running loop, not before `seconds` have passed."""
        return asyncio.get_running_loop().call_later(seconds, callback)
