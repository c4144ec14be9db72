"""A real HTTP proxy in front of a real server: it passes everything on, and holds a chosen call exactly where told.

With it a test kills the operator at a point of a call, not after a guessed time:

    held = proxy.hold("POST", "/v5/builds$", "after")     # done there, not yet answered here
    held.wait(); operator.kill(); held.drop()
"""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import aiohttp
from aiohttp import web

PATIENCE = 60
NOT_PASSED_ON = {"host", "connection", "transfer-encoding", "content-length", "keep-alive"}
Point = Literal["before", "after"]
Handler = Callable[[], Awaitable[None]]


@dataclass
class Held:
    """One call, held: `before` it reaches the server, or `after` the server has done it and before the answer."""

    method: str
    pattern: str
    point: Point
    caught: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)
    dropped: bool = False

    def wait(self) -> None:
        """Return when the call is held."""
        assert self.caught.wait(PATIENCE), f"no {self.method} {self.pattern} came to be held within {PATIENCE} s"

    def release(self) -> None:
        """Let the call go on."""
        self.let_go.set()

    def drop(self) -> None:
        """Cut the caller off; held before the server, the call never reaches it."""
        self.dropped = True
        self.let_go.set()

    def catches(self, request: web.Request, point: Point) -> bool:
        """Whether this is the first call at this point that matches."""
        named = self.method == request.method and re.search(self.pattern, request.path)
        return bool(named) and point == self.point and not self.caught.is_set()


class Server:
    """HTTP servers of one thread, on free ports of the loopback."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()
        self._open: list[tuple[web.AppRunner, Handler]] = []

    def listen(self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]], start: Handler,
               stop: Handler) -> str:
        """Serve every request with the handler; the address. `start` and `stop` are awaited around it."""
        return asyncio.run_coroutine_threadsafe(self._listen(handler, start, stop), self._loop).result(PATIENCE)

    def close(self) -> None:
        """Close all of them, and end the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    async def _listen(self, handler: Any, start: Handler, stop: Handler) -> str:
        await start()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._open.append((runner, stop))
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def _close(self) -> None:
        for runner, stop in self._open:
            await runner.cleanup()
            await stop()

    @staticmethod
    def trust(ca: bytes | None) -> Any:
        """The TLS context for an upstream; None where it speaks plain HTTP."""
        return ssl.create_default_context(cadata=ca.decode()) if ca else None

    @staticmethod
    def session(trust: Any) -> aiohttp.ClientSession:
        """A client that changes nothing of a request, and has no timeout."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust or True, limit=0), auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=("Content-Type", "User-Agent", "Accept-Encoding"),
        )


class Proxy:
    """`with Proxy(server) as proxy: proxy.url` behaves like the server."""

    def __init__(self, upstream: str, ca: bytes | None = None) -> None:
        self._upstream, self._trust = upstream, Server.trust(ca)
        self._holds: list[Held] = []
        self.url = ""

    def hold(self, method: str, pattern: str, point: Point) -> Held:
        """Hold the next call of this method whose path matches."""
        held = Held(method, pattern, point)
        self._holds.append(held)
        return held

    def __enter__(self) -> Self:
        self._server = Server("proxy")
        self.url = self._server.listen(self._pass_on, self._start, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for held in self._holds:
            held.drop()
        self._server.close()

    async def _start(self) -> None:
        self._session = Server.session(self._trust)

    async def _stop(self) -> None:
        await self._session.close()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        await self._pause(request, "before")
        kept = {name: value for name, value in request.headers.items() if name.lower() not in NOT_PASSED_ON}
        call = self._session.request(
            request.method, self._upstream + request.raw_path, headers=kept, data=body or None, allow_redirects=False
        )
        async with call as answer:
            await self._pause(request, "after")
            return await _answer(request, answer)

    async def _pause(self, request: web.Request, point: Point) -> None:
        held = next((one for one in self._holds if one.catches(request, point)), None)
        if held is None:
            return
        held.caught.set()
        await asyncio.to_thread(held.let_go.wait)
        if held.dropped and request.transport is not None:
            request.transport.abort()
            raise asyncio.CancelledError


async def _answer(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    kept = {name: value for name, value in answer.headers.items() if name.lower() not in NOT_PASSED_ON}
    response = web.StreamResponse(status=answer.status, headers=kept)
    if answer.content_length is not None:
        response.content_length = answer.content_length
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response
