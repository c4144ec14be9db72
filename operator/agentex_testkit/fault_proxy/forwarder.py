"""Forward the calls to one server, and do to a call what its fault says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from agentex_testkit.fault_proxy.calls import Call
from agentex_testkit.fault_proxy.faults import Answer, CallFault
from agentex_testkit.proxy import NOT_PASSED_ON, Server

if TYPE_CHECKING:
    from agentex_testkit.fault_proxy.proxy import FaultProxy

LATE = 1.5      # seconds after the interruption that a `mid` call takes effect: later than the operator settles


class Forwarder:
    """Forwards the calls to one server."""

    def __init__(self, proxy: FaultProxy, server: str, upstream: str, ca: bytes | None) -> None:
        self._proxy, self._name, self._upstream = proxy, server, upstream
        self._trust = Server.trust(ca)

    async def start(self) -> None:
        """Open the connections to the server."""
        self._session = Server.session(self._trust)

    async def stop(self) -> None:
        """Close the connections to the server."""
        await self._session.close()

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """Forward one call, and its answer; the connection is cut where the server or the caller is gone."""
        try:
            return await self._pass_on(request)
        except (ConnectionResetError, aiohttp.ClientError) as error:
            if request.transport is not None:
                request.transport.abort()
            raise asyncio.CancelledError from error

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        proxy = self._proxy
        call = proxy.name(self._name, request)
        fault = proxy.fault(call)
        if (instead := proxy.answer(call, fault)) is not None:
            return await self._answer_badly(request, call, instead)
        if fault is not None and fault.phase.startswith("bytes"):
            await self._interrupt_in_the_body(request, fault)
        if fault is not None and fault.phase == "pre":
            await self._interrupt_and_abort(request, fault, "never sent")
        body = await request.read()
        if fault is not None and fault.phase == "in":
            proxy.interrupt_now(fault)
        if fault is not None and fault.phase == "mid":
            proxy.later(self._send_late(request, body))
            await self._interrupt_and_abort(request, fault, "late")
        if call.verb == "WATCH":
            return await self._watch(request, call, fault)
        return await self._answer(request, call, fault, body)

    async def _answer(self, request: web.Request, call: Call, fault: CallFault | None,
                      body: bytes) -> web.StreamResponse:
        proxy = self._proxy
        proxy.record_result(call, "unanswered")
        place = len(proxy.log) - 1
        async with self._forward(request, body) as answer:
            content = await answer.read()
            if fault is not None and fault.phase == "post":
                await self._interrupt_and_abort(request, fault, None)
            if fault is not None and fault.phase == "after":
                proxy.interrupt_now(fault)
            response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
            response.content_length = len(content)
            await response.prepare(request)
            await response.write(content)
            await response.write_eof()
        if place < len(proxy.log):
            proxy.log[place] = (call, f"answered {answer.status}")
        if fault is not None and fault.phase == "ack":
            proxy.interrupt_at_next_call(fault)
        return response

    async def _answer_badly(self, request: web.Request, call: Call, instead: Answer) -> web.StreamResponse:
        body = await request.read()
        self._proxy.record_result(call, "unanswered" if instead.done else "never sent")
        if instead.done:
            async with self._forward(request, body) as answer:
                await answer.read()
        if instead.status is None:
            raise ConnectionResetError
        return web.Response(status=instead.status, body=instead.body, headers=instead.headers)

    async def _watch(self, request: web.Request, call: Call, fault: CallFault | None) -> web.StreamResponse:
        watch_filter = self._proxy.watch_filter
        if watch_filter is not None and (refusal := await watch_filter.refuse(call)) is not None:
            return web.Response(status=refusal[0], body=refusal[1], content_type="application/json")
        async with self._forward(request, b"") as answer:
            response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
            return await self._pass_lines(request, call, fault, answer, response)

    async def _pass_lines(self, request: web.Request, call: Call, fault: CallFault | None,
                          answer: aiohttp.ClientResponse, response: web.StreamResponse) -> web.StreamResponse:
        watch_filter = self._proxy.watch_filter
        await response.prepare(request)
        lines, number = _lines(answer), 0
        async for line in watch_filter.lines(call, lines) if watch_filter is not None else lines:
            if fault is not None and number == fault.count:
                await response.write(line[: len(line) // 2])
                await self._interrupt_and_abort(request, fault, None)
            await response.write(line)
            number += 1
        await response.write_eof()
        return response

    async def _interrupt_in_the_body(self, request: web.Request, fault: CallFault) -> None:
        left = fault.count
        while left > 0 and (chunk := await request.content.read(left)):
            left -= len(chunk)
        await self._interrupt_and_abort(request, fault, "never sent")

    async def _interrupt_and_abort(self, request: web.Request, fault: CallFault, became: str | None) -> None:
        """Interrupt the operator, and cut off the call that it waits for."""
        if became is not None:
            self._proxy.record_result(fault.call, became)
        self._proxy.interrupt_now(fault)
        if request.transport is not None:
            request.transport.abort()
        raise asyncio.CancelledError

    async def _send_late(self, request: web.Request, body: bytes) -> None:
        await asyncio.sleep(LATE)
        with contextlib.suppress(aiohttp.ClientError):
            async with self._forward(request, body) as answer:
                await answer.read()

    def _forward(self, request: web.Request, body: bytes) -> Any:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in NOT_PASSED_ON}
        return self._session.request(request.method, self._upstream + request.raw_path, headers=headers,
                                     data=body or None, allow_redirects=False)


def _kept(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in NOT_PASSED_ON}


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The whole lines of a watch, each as soon as it is there."""
    held = b""
    async for chunk in answer.content.iter_any():
        *whole, held = (held + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if held:
        yield held
