"""A real HTTP server on a loopback port, in a thread of its own, for as long as a test needs it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from aiohttp import web
from tests.servers import in_a_thread

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Server:
    """Where it listens, and what it was asked: (path, Authorization)."""

    port: int = 0
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"


@contextmanager
def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Answers every GET so."""
    with in_a_thread(_listening(answer, tls)) as server:
        yield server


@asynccontextmanager
async def _listening(answer: Answer, tls: ssl.SSLContext | None) -> AsyncIterator[Server]:
    server, app = Server(), web.Application()

    async def noted(request: web.Request) -> web.StreamResponse:
        server.asked.append((request.path, request.headers.get("Authorization")))
        return await answer(request)

    app.router.add_get("/{rest:.*}", noted)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()
