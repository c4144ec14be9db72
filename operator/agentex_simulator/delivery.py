"""Bytes on the wire: honest answers, and every dishonest way of sending one."""

import asyncio
import socket
import struct
from http import HTTPStatus

from aiohttp import web

from agentex_simulator.course import Drop, Manner
from agentex_simulator.replies import Frames, Reply

HARD_CLOSE = struct.pack("ii", 1, 0)


async def deliver(request: web.Request, reply: Reply, manner: Manner) -> web.StreamResponse:
    """Send the reply; in a manner other than the default the connection is closed afterwards."""
    if reply.frames is not None:
        return await _stream(request, reply, reply.frames, manner)
    if manner != Manner():
        return await _misbehave(request, reply, manner)
    return web.Response(body=reply.body, status=reply.status, headers=reply.headers, content_type=reply.content_type)


def cut(request: web.Request, how: Drop) -> web.Response:
    """End the connection without an answer: `rst` resets it, `fin` closes it politely."""
    transport = request.transport
    if transport is not None and how == "rst":
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, HARD_CLOSE)
        transport.abort()
    elif transport is not None:
        transport.close()
    return web.Response()  # never reaches anyone: the connection is gone


async def _stream(request: web.Request, reply: Reply, frames: Frames, manner: Manner) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_type = reply.content_type
    await response.prepare(request)
    sent = 0
    async for frame in frames():
        await asyncio.sleep(manner.frame_delay)
        if sent == manner.cut_after:
            return cut(request, "rst")
        await response.write(frame)
        sent += 1
    await response.write_eof()
    return response


async def _misbehave(request: web.Request, reply: Reply, manner: Manner) -> web.StreamResponse:
    await asyncio.sleep(manner.header_delay)
    message = _raw(reply, manner)
    size = manner.chunk or len(message)
    for start in range(0, len(message), size):
        if request.transport is None or request.transport.is_closing():
            break
        request.transport.write(message[start : start + size])
        await asyncio.sleep(manner.chunk_delay)
    return cut(request, "fin")


def _raw(reply: Reply, manner: Manner) -> bytes:
    body = reply.body[: int(len(reply.body) * manner.keep)]
    headers = {
        **reply.headers,
        "Content-Type": reply.content_type,
        "Content-Length": str(max(0, len(body) + manner.length_delta)),
        "Connection": "close",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {reply.status} {_phrase(reply.status)}\r\n{head}\r\n".encode() + body


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
