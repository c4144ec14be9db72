"""What a test has happen at a request: an error, with or without its effect, or another writer just before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agentex_operator.kube.kinds import Kind
from agentex_testkit.fake_cluster.requests import Request, Verb


@dataclass
class Fault:
    """Happens at the requests of this verb, kind and name (None: any), after `skip` of them, `times` times.

    `act` runs before the request. `error` is raised instead of the request, or with `effect` after it took effect.
    """

    verb: Verb
    kind: Kind | None = None
    name: str | None = None
    error: Exception | None = None
    effect: bool = False
    act: Callable[[], object] | None = None
    skip: int = 0
    times: float = 1
    happened: int = 0

    def takes(self, request: Request) -> bool:
        """Count a matching request; return whether the fault happens at it."""
        wanted = (self.verb, self.kind or request.kind, self.name or request.name)
        if wanted != (request.verb, request.kind, request.name):
            return False
        self.skip -= 1
        if self.skip >= 0 or self.happened >= self.times:
            return False
        self.happened += 1
        return True


class Faults:
    """The faults of a fake API server; at most one of them happens at a request."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Have a fault happen from now on; the fault counts how often it `happened`."""
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Forget all faults."""
        self._faults.clear()

    def at(self, request: Request) -> Fault | None:
        """Return the fault that happens at this request."""
        return next((fault for fault in self._faults if fault.takes(request)), None)
