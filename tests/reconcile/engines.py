"""An engine with one kind of object, a clock moved by hand, and a pass that answers as the test says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from agentex_operator.reconcile.engine import Engine
from agentex_operator.reconcile.views import View
from agentex_operator.reconcile.work_queue import Outcome
from agentex_testkit.clocks import HandClock, run_ready_tasks

SECOND = timedelta(seconds=1)


def an_object(uid: str = "u1", version: int | str = 1, name: str = "a", **metadata: Any) -> dict[str, Any]:
    named = {"uid": uid, "name": name, "namespace": "team", "resourceVersion": str(version), "generation": 1}
    return {"metadata": {**named, **metadata}, "spec": {"seen": version}}


@dataclass
class Passes:
    """A reconciler that writes down what it saw and answers as told."""

    outcome: Outcome | Exception = field(default_factory=Outcome)
    seen: list[View] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)  # the uids of passes that were not cancelled
    running: int = 0
    most_at_once: int = 0
    gate: asyncio.Event | None = None

    async def __call__(self, view: View) -> Outcome:
        self.seen.append(view)
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            if self.gate:
                await self.gate.wait()
        finally:
            self.running -= 1
        self.ended.append(view.uid)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    @property
    def versions(self) -> list[str]:
        return [view.resource_version for view in self.seen]


@dataclass
class EngineSetup:
    """An engine with one kind, its clock and its passes."""

    engine: Engine
    clock: HandClock
    passes: Passes
    gone: list[View] = field(default_factory=list)

    async def observe(self, obj: Mapping[str, Any], event_type: str | None = "MODIFIED") -> None:
        self.engine.observe("Thing", event_type, obj)
        await run_ready_tasks()


def jitterless() -> float:
    return 0.0


@contextlib.asynccontextmanager
async def running(workers: int = 4) -> AsyncIterator[EngineSetup]:
    clock = HandClock()
    setup = EngineSetup(Engine(clock, workers, jitterless), clock, Passes())
    setup.engine.register("Thing", setup.passes, setup.gone.append)
    await setup.engine.start()
    yield setup
    await setup.engine.drain(SECOND)
