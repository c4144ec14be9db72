"""SIGTERM and SIGINT: how the process is told to end, from its start on.

A process without a handler of its own ignores SIGTERM where it is the first of a container (man 7 pid_namespaces): each
moment without a handler may cost the whole grace period of the pod.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Termination:
    """Whether the process was told to end: `requested` is set, and stays so."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()

    def listen(self) -> None:
        """Let SIGINT and SIGTERM request the end, instead of any handler that the running event loop has for them."""
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self.requested.set)

    async def unless_requested(self, work: Coroutine[None, None, T]) -> T | None:
        """The result of `work`; None if the end was requested before: then `work` was cancelled, and has ended."""
        working, told = asyncio.ensure_future(work), asyncio.ensure_future(self.requested.wait())
        try:
            await asyncio.wait((working, told), return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            for task in (working, told):
                task.cancel()
            await asyncio.gather(working, told, return_exceptions=True)
