"""The only module that reads the clock and sets timers."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer(Protocol):
    """A callback that is scheduled."""

    def cancel(self) -> None:
        """Keep the callback from being called; does nothing once it was called."""


class Clock:
    """The wall clock, the monotonic clock and the timers of the event loop; tests replace it by one moved by hand."""

    def now(self) -> datetime:
        """The time of day in UTC, aware; for timestamps that people and other machines read, not for durations."""
        return datetime.now(UTC)  # noqa: TID251 - this is the place that may

    def monotonic(self) -> float:
        """Seconds since an arbitrary start, which never jump; for every duration."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Suspend the task for that many seconds."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once on the running event loop, when `seconds` have passed."""
        return asyncio.get_running_loop().call_later(seconds, callback)
