"""The fault proxy: names every call of the operator, forwards it, and injects the faults of a plan."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from agentex_testkit.fault_proxy.calls import Call, Counting
from agentex_testkit.fault_proxy.faults import Answer, CallFault, WatchFilter
from agentex_testkit.fault_proxy.forwarder import Forwarder
from agentex_testkit.proxy import Server

NEXT_CALL = 0.3  # seconds to wait for the next call of an operator that is to be interrupted before it


class FaultProxy:
    """Listens for the operator in place of the API server (`kube`) and of the remote API (`remote`), in one thread.

    `interrupt` is called in that thread when a fault is reached: its owner kills the operator, or freezes it (SIGSTOP).
    """

    def __init__(self, interrupt: Callable[[], None]) -> None:
        self.interrupt = interrupt
        self.faults: list[CallFault] = []
        self.lives: list[list[CallFault]] = []    # the faults after the first interruption, after the second, ...
        self.watch_filter: WatchFilter | None = None
        self.trace: list[Call] = []
        self.log: list[tuple[Call, str]] = []     # every call with what became of it, for the judge
        self.urls: dict[str, str] = {}
        self.sites: dict[str, Call] = {}          # of all plans: one call of each site
        self.interruptions = 0                    # of this plan
        self._counting = Counting()
        self._before_the_next: CallFault | None = None
        self._spell: tuple[str, Answer, float] | None = None  # a server, its answer to every call, until when
        self._late: set[asyncio.Task[Any]] = set()
        self._server = Server("fault proxy")

    # --- what a plan asks for -------------------------------------------------------------------------------------

    def begin(self, *lives: Sequence[CallFault], watch_filter: WatchFilter | None = None) -> None:
        """Begin a plan: count calls from one, and inject the first faults; after each interruption, the next ones."""
        self.trace, self.log, self.interruptions = [], [], 0
        self._before_the_next = self._spell = None
        self.lives, self.watch_filter = [list(life) for life in lives], watch_filter
        self._next_life()

    def _next_life(self) -> None:
        self._counting = Counting()
        self.faults = self.lives.pop(0) if self.lives else []

    def ambiguous(self) -> int:
        """How many creates were passed on whose answer the operator never had."""
        return sum(call.creates and became in ("late", "unanswered") for call, became in self.log)

    # --- the ports ----------------------------------------------------------------------------------------------------

    def open(self, server: str, upstream: str, ca: bytes | None = None) -> str:
        """Listen in place of this server, and return the address."""
        forwarder = Forwarder(self, server, upstream, ca)
        self.urls[server] = self._server.listen(forwarder.pass_on, forwarder.start, forwarder.stop)
        return self.urls[server]

    def close(self) -> None:
        """Close every forwarder."""
        self._server.close()

    # --- in its thread --------------------------------------------------------------------------------------------

    def name(self, server: str, request: web.Request) -> Call:
        """Name the call that has arrived. Raises ConnectionResetError if the operator is to be interrupted at it."""
        if (fault := self._before_the_next) is not None:
            self._interrupt(fault)
            raise ConnectionResetError
        call = self._counting.name(server, request.method, request.path, request.query)
        self.trace.append(call)
        self.sites.setdefault(call.site, call)
        return call

    def fault(self, call: Call) -> CallFault | None:
        """The fault to inject into this call, if any."""
        return next((one for one in self.faults if one.call == call and not one.triggered.is_set()), None)

    def answer(self, call: Call, fault: CallFault | None) -> Answer | None:
        """The answer that this call gets in place of the server's, if any."""
        if fault is not None and fault.answer is not None:
            fault.triggered.set()
            self._spell = (call.server, fault.answer, time.monotonic() + fault.count)
            return fault.answer
        if self._spell is None or self._spell[0] != call.server or time.monotonic() > self._spell[2]:
            return None
        return None if call.verb == "WATCH" and self._spell[1].done else self._spell[1]

    def record_result(self, call: Call, became: str) -> None:
        """Note what became of a call: `unanswered`, `late`, `never sent`, or `answered STATUS`."""
        self.log.append((call, became))

    def interrupt_now(self, fault: CallFault) -> None:
        """Interrupt the operator."""
        self._interrupt(fault)

    def interrupt_at_next_call(self, fault: CallFault) -> None:
        """Interrupt the operator at its next call, or a moment later if it makes none."""
        self._before_the_next = fault
        asyncio.get_running_loop().call_later(NEXT_CALL, self._interrupt_if_waiting, fault)

    def later(self, work: Awaitable[Any]) -> None:
        """Do this in the background, also when the caller is gone."""
        task = asyncio.ensure_future(work)
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    def _interrupt_if_waiting(self, fault: CallFault) -> None:
        if self._before_the_next is fault:
            self._interrupt(fault)

    def _interrupt(self, fault: CallFault) -> None:
        self._before_the_next = None
        self.interruptions += 1
        self.interrupt()
        fault.triggered.set()
        self._next_life()
