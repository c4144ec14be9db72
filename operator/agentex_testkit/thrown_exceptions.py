"""Throw an exception that nobody listed out of a named call of an adapter, within an operator's process.

    kube PATCH agentbuilds/quote/status #2/before-KeyError       before the call is sent, once
    remote POST /v5/builds #1/after-RuntimeError                 when the answer is there, once
    source STAGE contexts #1/before-MemoryError=3                and out of every call to the same server for 3 seconds

The names of calls are those of the fault proxy; the calls of sources are `source RESOLVE` and `source STAGE`.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from agentex_testkit.fault_proxy.calls import KUBE, REMOTE, Call, Counting

SOURCE = "source"
TEXT = "thrown by the fault programme"  # in the text of each exception, and so in the log
CANARY = "canary-of-the-thrown-exception"  # in the text too; nobody may see it but in the log
THROWN = "thrown.txt"  # the file in the operator's folder that has a line for each exception that was thrown
ERRORS: dict[str, type[Exception]] = {one.__name__: one for one in (
    RuntimeError, KeyError, OverflowError, RecursionError, MemoryError, UnicodeError)}


@dataclass(frozen=True)
class ThrownException:
    """Which call an exception comes out of; `seconds`: for how long out of every call to the server, 0: once."""

    call: Call
    after: bool
    error: str
    seconds: int = 0

    def __str__(self) -> str:
        spell = f"={self.seconds}" if self.seconds else ""
        return f"{self.call}/{'after' if self.after else 'before'}-{self.error}{spell}"

    @classmethod
    def parse(cls, text: str) -> ThrownException:
        """The exception of that name."""
        call, _, how = text.rpartition("/")
        moment, _, rest = how.partition("-")
        error, _, seconds = rest.partition("=")
        return cls(Call.parse(call), moment == "after", error, int(seconds or 0))


class Thrower:
    """Throws one exception where its call is made; for one life of an operator."""

    def __init__(self, wanted: ThrownException, record: Path) -> None:
        self._wanted, self._record = wanted, record
        self._until: float | None = None
        self._counting = Counting()
        self._sources: dict[str, int] = {}

    def install(self) -> None:
        """Wrap the calls of all adapters in this process."""
        from agentex_operator.agentex.transport import Transport  # noqa: PLC0415 - only in the process that throws
        from agentex_operator.kube.api import Api  # noqa: PLC0415
        from agentex_operator.sources import Sources  # noqa: PLC0415

        self._wrap(Api, "_exchange", self._of_kube)
        self._wrap(Transport, "_exchange", self._of_remote)
        self._wrap(Sources, "resolve", lambda *_: (self._of_source("RESOLVE"), ""))
        self._wrap(Sources, "stage", lambda *_: (self._of_source("STAGE"), ""))

    def _wrap(self, owner: type, name: str, named: Callable[..., tuple[Call, str]]) -> None:
        original: Callable[..., Awaitable[Any]] = getattr(owner, name)

        @functools.wraps(original)
        async def wrapped(adapter: object, *arguments: Any, **options: Any) -> Any:
            call, secret = named(adapter, *arguments)
            throws = self._throws(call)
            if throws and not self._wanted.after:
                self._throw(call, secret)
            answer = await original(adapter, *arguments, **options)
            if throws:
                self._throw(call, secret)
            return answer

        setattr(owner, name, wrapped)

    def _of_kube(self, _: object, method: str, path: str, *_rest: object) -> tuple[Call, str]:
        parts = urlsplit(path)
        return self._counting.name(KUBE, method, parts.path, dict(parse_qsl(parts.query))), ""

    def _of_remote(self, transport: Any, request: Any) -> tuple[Call, str]:
        """The call, and the API key, which an exception of a client may quote."""
        return self._counting.name(REMOTE, request.method, request.path, {}), transport.api_key.reveal()

    def _of_source(self, verb: str) -> Call:
        self._sources[verb] = self._sources.get(verb, 0) + 1
        return Call(SOURCE, verb, "contexts", self._sources[verb])

    def _throws(self, call: Call) -> bool:
        wanted, now = self._wanted, time.monotonic()
        if call == wanted.call and self._until is None:
            self._until = now + wanted.seconds
            return True
        return self._until is not None and call.server == wanted.call.server and now < self._until

    def _throw(self, call: Call, secret: str) -> None:
        with self._record.open("a") as record:
            record.write(f"{call}\n")
        raise ERRORS[self._wanted.error](f"{TEXT}: {CANARY} {secret}".rstrip())


def install(name: str, folder: Path) -> None:
    """Have this process throw the exception of that name, unless a process before it in this folder did so already."""
    if not (folder / THROWN).exists():
        Thrower(ThrownException.parse(name), folder / THROWN).install()
