"""The director: stands before the API server and the remote, names every call, and has the operator die at one of them.

What happens to the operator is a `Cue` on a named call:

    pre    the call arrived, and goes no further               mid    it is passed on a good while after the death
    post   the server has done it, the answer is withheld      ack    the answer is delivered, no next call is made
    bytes  so many bytes of the body arrived (uploads)         lines  so many events of a watch, and half of the next
    in     struck when the call has arrived; it goes on        after  struck right before the answer is delivered

Struck is killed; or frozen (SIGSTOP) for the last two, so that it wakes up in a world that went on: the owner of the
director says which. Watches can be bent too; `tests/faults/views.py` says how. And a call can be answered badly, with
nobody struck: `429`, that once; `429=3`, as everything that is asked of the same server for three seconds (`ANSWERS`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import aiohttp
from aiohttp import web
from tests.faults.calls import Call, Counting

from agentex_testkit.proxy import NOT_PASSED_ON, Server

LATE = 1.5      # seconds after the death that a `mid` call takes effect: later than the operator settles
PHASES = ("pre", "mid", "post", "ack")
NEXT_CALL = 0.3  # seconds to wait for the next call of an operator that is to die before it


@dataclass(frozen=True)
class Answer:
    """What a call gets instead of its answer. `status`: None breaks the connection; `done`: it takes effect first."""

    status: int | None
    done: bool = False
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def a_status(code: int, reason: str, message: str, **headers: str) -> Answer:
    """As the API server says no."""
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code,
            "message": message}
    return Answer(code, body=json.dumps(said).encode(), headers={"Content-Type": "application/json", **headers})


TIMED_OUT = a_status(504, "Timeout", "request did not complete within the allotted timeout")
ANSWERS = {
    "429": a_status(429, "TooManyRequests", "too many requests, please try again later", **{"Retry-After": "1"}),
    "403": a_status(403, "Forbidden", "the role was taken away"),
    "500": a_status(500, "InternalError", "etcdserver: request timed out"),
    "503-html": Answer(503, body=b"<html>no backend</html>", headers={"Content-Type": "text/html"}),
    "504-done": replace(TIMED_OUT, done=True),
    "broken": Answer(None),
    "broken-done": Answer(None, done=True),
    "cut-short-done": Answer(200, done=True, body=b'{"kind": "Agent', headers={"Content-Type": "application/json"}),
}


@dataclass
class Cue:
    """What happens at a call: it is answered badly, or the operator does not survive a phase of it.

    `bytes` and `lines` carry a count, answers may carry seconds: `bytes=1`.
    """

    call: Call
    phase: str
    struck: threading.Event = field(default_factory=threading.Event)

    @property
    def count(self) -> int:
        """How many bytes or lines."""
        return int(self.phase.partition("=")[2] or 0)

    @property
    def answer(self) -> Answer | None:
        """What it is answered."""
        return ANSWERS.get(self.phase.partition("=")[0])

    def __str__(self) -> str:
        return f"{self.call}/{self.phase}"

    @classmethod
    def parse(cls, text: str) -> Cue:
        """The cue of that name."""
        call, _, phase = text.rpartition("/")
        return cls(Call.parse(call), phase)


class View(Protocol):
    """How a watch is bent: what the operator sees of the lines that the API server sends."""

    def lines(self, call: Call, upstream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The lines to pass on."""
        ...

    async def refuse(self, call: Call) -> tuple[int, bytes] | None:
        """A status and a body to answer with instead of asking the API server."""
        ...


class Director:
    """Two doors, `kube` and `remote`, in one thread; `strike` is called, in that thread, when a cue is reached."""

    def __init__(self, strike: Callable[[], None]) -> None:
        self.strike = strike
        self.cues: list[Cue] = []
        self.acts: list[list[Cue]] = []           # the cues that follow the first death, the second, ...
        self.view: View | None = None
        self.trace: list[Call] = []
        self.log: list[tuple[Call, str]] = []     # every call with what became of it, for the judge
        self.urls: dict[str, str] = {}
        self.sites: dict[str, Call] = {}          # of all plans: one call of each site
        self.strikes = 0                          # of this plan
        self._counting = Counting()
        self._before_the_next: Cue | None = None
        self._spell: tuple[str, Answer, float] | None = None  # a server, what it answers everybody, until when
        self._late: set[asyncio.Task[Any]] = set()
        self._server = Server("director")

    # --- what a plan asks for -------------------------------------------------------------------------------------

    def begin(self, *acts: Sequence[Cue], view: View | None = None) -> None:
        """A new plan: count from one, and wait for the first of these; after each death count anew, for the next."""
        self.trace, self.log, self.strikes = [], [], 0
        self._before_the_next = self._spell = None
        self.acts, self.view = [list(act) for act in acts], view
        self._next_act()

    def _next_act(self) -> None:
        self._counting = Counting()
        self.cues = self.acts.pop(0) if self.acts else []

    def ambiguous(self) -> int:
        """How many creates were passed on whose answer the operator never had."""
        return sum(call.creates and became in ("late", "unanswered") for call, became in self.log)

    # --- life -----------------------------------------------------------------------------------------------------

    def open(self, server: str, upstream: str, ca: bytes | None = None) -> str:
        """Open a door; its address."""
        door = _Door(self, server, upstream, ca)
        self.urls[server] = self._server.listen(door.pass_on, door.start, door.stop)
        return self.urls[server]

    def close(self) -> None:
        """Close every door."""
        self._server.close()

    # --- in its thread --------------------------------------------------------------------------------------------

    def name(self, server: str, request: web.Request) -> Call:
        """Name the call that has arrived. Raises ConnectionResetError where the operator was to die before its next."""
        if (cue := self._before_the_next) is not None:
            self._strike(cue)
            raise ConnectionResetError
        call = self._counting.name(server, request.method, request.path, request.query)
        self.trace.append(call)
        self.sites.setdefault(call.site, call)
        return call

    def cue(self, call: Call) -> Cue | None:
        """What is to happen at this call."""
        return next((one for one in self.cues if one.call == call and not one.struck.is_set()), None)

    def answer(self, call: Call, cue: Cue | None) -> Answer | None:
        """What it is answered instead."""
        if cue is not None and cue.answer is not None:
            cue.struck.set()
            self._spell = (call.server, cue.answer, time.monotonic() + cue.count)
            return cue.answer
        if self._spell is None or self._spell[0] != call.server or time.monotonic() > self._spell[2]:
            return None
        return None if call.verb == "WATCH" and self._spell[1].done else self._spell[1]

    def note(self, call: Call, became: str) -> None:
        """What became of a call."""
        self.log.append((call, became))

    def struck(self, cue: Cue) -> None:
        """The operator is struck now."""
        self._strike(cue)

    def struck_soon(self, cue: Cue) -> None:
        """It is struck when its next call arrives, or a moment later if it makes none."""
        self._before_the_next = cue
        asyncio.get_running_loop().call_later(NEXT_CALL, self._strike_if_waiting, cue)

    def later(self, work: Awaitable[Any]) -> None:
        """Have this done, whatever becomes of the caller."""
        task = asyncio.ensure_future(work)
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    def _strike_if_waiting(self, cue: Cue) -> None:
        if self._before_the_next is cue:
            self._strike(cue)

    def _strike(self, cue: Cue) -> None:
        self._before_the_next = None
        self.strikes += 1
        self.strike()
        cue.struck.set()
        self._next_act()


class _Door:
    """One server's door."""

    def __init__(self, director: Director, server: str, upstream: str, ca: bytes | None) -> None:
        self._director, self._name, self._upstream = director, server, upstream
        self._trust = Server.trust(ca)

    async def start(self) -> None:
        self._session = Server.session(self._trust)

    async def stop(self) -> None:
        await self._session.close()

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """One call, from its arrival to its answer; where the server or the caller is gone, it is cut off."""
        try:
            return await self._pass_on(request)
        except (ConnectionResetError, aiohttp.ClientError) as error:
            if request.transport is not None:
                request.transport.abort()
            raise asyncio.CancelledError from error

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        director = self._director
        call = director.name(self._name, request)
        cue = director.cue(call)
        if (instead := director.answer(call, cue)) is not None:
            return await self._answer_badly(request, call, instead)
        if cue is not None and cue.phase.startswith("bytes"):
            await self._die_in_the_body(request, cue)
        if cue is not None and cue.phase == "pre":
            await self._die(request, cue, "never sent")
        body = await request.read()
        if cue is not None and cue.phase == "in":
            director.struck(cue)
        if cue is not None and cue.phase == "mid":
            director.later(self._send_late(request, body))
            await self._die(request, cue, "late")
        if call.verb == "WATCH":
            return await self._watch(request, call, cue)
        return await self._answer(request, call, cue, body)

    async def _answer(self, request: web.Request, call: Call, cue: Cue | None, body: bytes) -> web.StreamResponse:
        director = self._director
        director.note(call, "unanswered")
        place = len(director.log) - 1
        async with self._forward(request, body) as answer:
            content = await answer.read()
            if cue is not None and cue.phase == "post":
                await self._die(request, cue, None)
            if cue is not None and cue.phase == "after":
                director.struck(cue)
            response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
            response.content_length = len(content)
            await response.prepare(request)
            await response.write(content)
            await response.write_eof()
        if place < len(director.log):
            director.log[place] = (call, f"answered {answer.status}")
        if cue is not None and cue.phase == "ack":
            director.struck_soon(cue)
        return response

    async def _answer_badly(self, request: web.Request, call: Call, instead: Answer) -> web.StreamResponse:
        body = await request.read()
        self._director.note(call, "unanswered" if instead.done else "never sent")
        if instead.done:
            async with self._forward(request, body) as answer:
                await answer.read()
        if instead.status is None:
            raise ConnectionResetError
        return web.Response(status=instead.status, body=instead.body, headers=instead.headers)

    async def _watch(self, request: web.Request, call: Call, cue: Cue | None) -> web.StreamResponse:
        view = self._director.view
        if view is not None and (refusal := await view.refuse(call)) is not None:
            return web.Response(status=refusal[0], body=refusal[1], content_type="application/json")
        async with self._forward(request, b"") as answer:
            response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
            return await self._pass_lines(request, call, cue, answer, response)

    async def _pass_lines(self, request: web.Request, call: Call, cue: Cue | None, answer: aiohttp.ClientResponse,
                          response: web.StreamResponse) -> web.StreamResponse:
        view = self._director.view
        await response.prepare(request)
        lines, number = _lines(answer), 0
        async for line in view.lines(call, lines) if view is not None else lines:
            if cue is not None and number == cue.count:
                await response.write(line[: len(line) // 2])
                await self._die(request, cue, None)
            await response.write(line)
            number += 1
        await response.write_eof()
        return response

    async def _die_in_the_body(self, request: web.Request, cue: Cue) -> None:
        left = cue.count
        while left > 0 and (chunk := await request.content.read(left)):
            left -= len(chunk)
        await self._die(request, cue, "never sent")

    async def _die(self, request: web.Request, cue: Cue, became: str | None) -> None:
        """The operator is struck while it waits for this answer, which it does not get."""
        if became is not None:
            self._director.note(cue.call, became)
        self._director.struck(cue)
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
