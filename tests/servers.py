"""A server on an event loop in a thread of its own, for as long as a test needs the server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

ServerT = TypeVar("ServerT")
PATIENCE = 10  # seconds for the start, and for the end


@contextmanager
def in_a_thread(server: AbstractAsyncContextManager[ServerT]) -> Iterator[ServerT]:
    """Enter the server on a loop of another thread, yield what it yields, and leave it. Raises what entering raises."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        opened = asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(PATIENCE)
        try:
            yield opened
        finally:
            asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(PATIENCE)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()
