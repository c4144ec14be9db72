"""A real HTTP proxy on a loopback port, in a thread: every target leads to one server, whatever its name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field

from tests.servers import in_a_thread


@dataclass
class ProxyServer:
    """`asked`: the first line of each request, without the HTTP version. `upstream`: the port that all leads to.

    `refusal`: the status with which every request is answered; None: it is passed on.
    """

    upstream: int
    port: int = 0
    asked: list[str] = field(default_factory=list)
    refusal: bytes | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer CONNECT with a tunnel, and pass any other request on as it is."""
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(head.split(b" HTTP/")[0].decode())
            if self.refusal is not None:
                writer.write(b"HTTP/1.1 " + self.refusal + b"\r\nContent-Length: 0\r\n\r\n")
                return
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
            with closing(up_writer):
                if head.startswith(b"CONNECT"):
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    up_writer.write(head)
                await asyncio.gather(_copy(reader, up_writer), _copy(up_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextmanager
def proxying(upstream: int) -> Iterator[ProxyServer]:
    """Run a proxy to the server at this loopback port."""
    with in_a_thread(_listening(upstream)) as proxy:
        yield proxy


@asynccontextmanager
async def _listening(upstream: int) -> AsyncIterator[ProxyServer]:
    proxy = ProxyServer(upstream)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        tunnels = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tunnels:
            task.cancel()
        await asyncio.gather(*tunnels, return_exceptions=True)
        await asyncio.sleep(0)  # a closed connection lets its socket go in the next round of the loop
