"""Sharing of stages: equal requests at the same time are staged once, if what is fetched is fresh enough for all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentex_operator.api.build import Context
    from agentex_operator.api.sources import BuildSource
    from agentex_operator.sources.staging_area import PublishedContext, Staged, StagingArea


@dataclass(frozen=True, slots=True)
class StageRequest:
    """What is to be staged. `agent`: the agent that the manifest must be for; None: any agent."""

    namespace: str
    source: BuildSource
    context: Context
    agent: str | None = None


@dataclass(slots=True, eq=False)
class SharedStage:
    """One stage under way. `waiting`: how many wait for it. An unpinned source is read after `since`."""

    request: StageRequest
    is_pinned: bool
    since: float = 0.0
    fetching: bool = False
    waiting: int = 0
    task: asyncio.Task[PublishedContext] = field(init=False)

    def can_serve(self, since: float) -> bool:
        """Whether what it fetches is fresh enough for a reader of that time; a pinned source is always fresh."""
        return self.is_pinned or not self.fetching or self.since >= since


class SharedStages:
    """The stages under way, by request. `make` fetches and stages; what it publishes is held until `release`."""

    def __init__(self, area: StagingArea, make: Callable[[SharedStage], Awaitable[PublishedContext]]) -> None:
        self._area = area
        self._make = make
        self._under_way: dict[StageRequest, SharedStage] = {}

    async def join(self, request: StageRequest, since: float, *, is_pinned: bool) -> Staged:
        """The staged context, held for this caller. Raises what `make` raises."""
        stage = self._stage_for(request, since, is_pinned)
        stage.since = max(stage.since, since)
        stage.waiting += 1
        try:
            return self._area.hold(await asyncio.shield(stage.task))
        finally:
            self._leave(stage)

    def _stage_for(self, request: StageRequest, since: float, is_pinned: bool) -> SharedStage:
        stage = self._under_way.get(request)
        if stage is None or not stage.can_serve(since):
            stage = self._under_way[request] = SharedStage(request, is_pinned)
            stage.task = asyncio.ensure_future(self._make(stage))
        return stage

    def _leave(self, stage: SharedStage) -> None:
        """Count one waiter less; the last one ends the stage."""
        stage.waiting -= 1
        if stage.waiting:
            return
        if self._under_way.get(stage.request) is stage:
            del self._under_way[stage.request]
        if stage.task.done():
            self._release(stage.task)
        else:
            stage.task.add_done_callback(self._release)
            stage.task.cancel()

    def _release(self, task: asyncio.Task[PublishedContext]) -> None:
        """Release what the stage itself holds; its error was raised to all that waited."""
        if not task.cancelled() and task.exception() is None:
            self._area.release(task.result().archive)
