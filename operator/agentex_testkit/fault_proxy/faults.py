"""The faults that can be injected into a named call: an interruption of the operator, or a wrong answer.

`CallFault.phase` says when the operator is interrupted:

    pre    the call arrived, and is not forwarded                   mid    it is forwarded LATE seconds afterwards
    post   the server has done it, the answer is withheld           ack    after the answer, before the next call
    bytes  after so many bytes of the body (uploads)                lines  after so many events of a watch and a half
    in     when the call has arrived; it is forwarded               after  right before the answer is delivered

Or which answer the call gets (`ANSWERS`), the operator not being interrupted: `429`, this call
alone; `429=3`, every call to the same server in the next three seconds too.
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from agentex_testkit.fault_proxy.calls import Call

PHASES = ("pre", "mid", "post", "ack")


@dataclass(frozen=True)
class Answer:
    """What a call gets instead of its answer. `status`: None breaks the connection; `done`: it takes effect first."""

    status: int | None
    done: bool = False
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def a_status(code: int, reason: str, message: str, **headers: str) -> Answer:
    """A failure as the API server answers it, with these headers."""
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
class CallFault:
    """A fault at one call. The phases `bytes` and `lines` carry a count, answers may carry seconds: `bytes=1`."""

    call: Call
    phase: str
    triggered: threading.Event = field(default_factory=threading.Event)

    @property
    def count(self) -> int:
        """How many bytes or lines."""
        return int(self.phase.partition("=")[2] or 0)

    @property
    def answer(self) -> Answer | None:
        """The answer that the call gets; None where the operator is interrupted."""
        return ANSWERS.get(self.phase.partition("=")[0])

    def __str__(self) -> str:
        return f"{self.call}/{self.phase}"

    @classmethod
    def parse(cls, text: str) -> CallFault:
        """The fault of that name."""
        call, _, phase = text.rpartition("/")
        return cls(Call.parse(call), phase)


class WatchFilter(Protocol):
    """Changes what the operator sees of a watch."""

    def lines(self, call: Call, upstream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The lines to pass on."""
        ...

    async def refuse(self, call: Call) -> tuple[int, bytes] | None:
        """A status and a body to answer with instead of asking the API server."""
        ...
