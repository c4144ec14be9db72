"""The imperative shell of a pass: ask `decide`, make the call it names, tell `settle`, until there is nothing to ask.

What is not decided in core is not decided here either: this file only carries out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import ValidationError

from agentex_operator import logs
from agentex_operator.api.metadata import FINALIZER, Meta, Resource
from agentex_operator.api.status import status_as_dict
from agentex_operator.core import conditions, invalid, plan, transitions
from agentex_operator.core.errors import Conflict, ExternalError
from agentex_operator.core.transitions import Readiness
from agentex_operator.kube.patches import conditional, merge_patch
from agentex_operator.reconcile.work_queue import Outcome

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.clock import Clock
    from agentex_operator.core.invalid import InvalidObject
    from agentex_operator.kube.cluster import Cluster
    from agentex_operator.kube.events import Recorder
    from agentex_operator.kube.kinds import Kind
    from agentex_operator.reconcile.engine import Engine
    from agentex_operator.reconcile.views import View
    from agentex_operator.reconcile.world import World

log = logs.logger(__name__)

MOST_CALLS = 40  # in one pass; more is a bug in the rules

ObservedT = TypeVar("ObservedT")
Decide = Callable[[ObservedT, "datetime"], plan.Plan[Any]]
Settle = Callable[[ObservedT, Any, Any, "datetime"], ObservedT]
Perform = Callable[[Any], Awaitable[Any]]


class RulesNeverEndError(RuntimeError):
    """A pass asked for more calls than any walk has: a bug in the rules."""


class Decisions(Protocol[ObservedT]):
    """A kind's core module."""

    def decide(self, observed: ObservedT, now: datetime, /) -> plan.Plan[Any]: ...  # noqa: D102 - see core
    def settle(self, observed: ObservedT, call: Any, outcome: Any, now: datetime, /) -> ObservedT: ...  # noqa: D102


async def converse(
    core: Decisions[ObservedT], observed: ObservedT, perform: Perform, clock: Clock
) -> tuple[ObservedT, plan.Plan[Any]]:
    """Run one pass to its end; the last of what was observed, and the plan that ended it."""
    for _ in range(MOST_CALLS):
        planned = core.decide(observed, clock.now())
        if planned.call is None:
            return observed, planned
        outcome = await attempt(perform, planned.call)
        observed = core.settle(observed, planned.call, outcome, clock.now())
    raise RulesNeverEndError(f"{MOST_CALLS} calls in one pass, the last was {type(planned.call).__name__}")


async def attempt(perform: Perform, call: Any) -> Any:
    """The outcome of a call; what an adapter raises is a value here."""
    try:
        return await perform(call)
    except ExternalError as error:
        log.info("call failed", call=type(call).__name__, error=type(error).__name__, message=error.message)
        return error


def outcome_of(planned: plan.Plan[Any]) -> Outcome:
    """What the engine is told at the end of a pass."""
    return Outcome(requeue_after=planned.look_again, failed=planned.failed)


class Writer:
    """The conditional writes of one pass to one object, each from the view the one before it left."""

    def __init__(self, cluster: Cluster, engine: Engine, recorder: Recorder, kind: Kind, view: View) -> None:
        self._cluster, self._engine, self._recorder = cluster, engine, recorder
        self._kind, self._obj = kind, dict(view.obj)

    async def write(self, call: Any, as_dict: Callable[[Any], dict[str, Any]]) -> Meta | None:
        """Carry out a call to the cluster; the object's metadata afterwards. Raises as Cluster does."""
        match call:
            case plan.AddFinalizer():
                return await self._patch({"metadata": {"finalizers": [*self._finalizers(), FINALIZER]}})
            case plan.RemoveFinalizer():
                kept = [one for one in self._finalizers() if one != FINALIZER]
                return await self._patch({"metadata": {"finalizers": kept}})
            case plan.SaveStatus() | plan.WriteIntent():
                return await self._save(as_dict(call.status), getattr(call, "notices", ()))
            case plan.DeleteSelf():
                await self._delete()
                return None
            case _:
                raise AssertionError(f"not a call to the cluster: {call!r}")

    def _finalizers(self) -> list[str]:
        return list(self._obj["metadata"].get("finalizers") or ())

    async def _save(self, status: dict[str, Any], notices: tuple[plan.Notice, ...]) -> Meta:
        before = self._obj.get("status") or {}
        meta = await self._patch({"status": merge_patch(before, status)}, status=True)
        self._announce(before, status)
        for notice in notices:
            self._recorder.emit(self._obj, notice.type, notice.reason, notice.message, notice.reason)
        return meta

    async def _patch(self, body: Mapping[str, Any], *, status: bool = False) -> Meta:
        metadata = self._obj["metadata"]
        try:
            answer = await self._cluster.patch(self._kind, metadata.get("namespace"), metadata["name"],
                                               conditional(self._obj, body), status=status)
        except Conflict:
            await self._look_again()
            raise
        self._engine.learn(self._kind.kind, answer)
        self._obj = answer
        return Meta.parse(answer)

    async def _look_again(self) -> None:
        """Somebody else wrote: have their version for the next pass, without waiting for the watch."""
        metadata = self._obj["metadata"]
        newest = await self._cluster.get(self._kind, metadata.get("namespace"), metadata["name"])
        if newest is None:
            self._engine.forget(metadata["uid"])
        else:
            self._engine.observe(self._kind.kind, "MODIFIED", newest)

    async def _delete(self) -> None:
        metadata = self._obj["metadata"]
        await self._cluster.delete(self._kind, metadata.get("namespace"), metadata["name"], uid=metadata["uid"],
                                   resource_version=metadata["resourceVersion"])

    def _announce(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        event = transitions.event_of(readiness_in(before), readiness_in(after))
        if event is not None:
            self._recorder.emit(self._obj, event.type, event.reason, event.message, "Reconcile")


def readiness_in(status: Mapping[str, Any]) -> Readiness | None:
    """What a status, as the API server stores it, says of Ready; None where it does not mention it."""
    found = {one["type"]: one for one in status.get("conditions") or ()}
    ready = found.get(conditions.READY)
    if ready is None:
        return None
    return Readiness(ready["status"], ready["reason"], ready["message"], ready.get("observedGeneration"),
                     conditions.STALLED in found)


# --- objects that are no valid resources ----------------------------------------------------------------------------


ResourceT = TypeVar("ResourceT", bound=Resource)


def parsed(model: type[ResourceT], obj: Mapping[str, Any]) -> ResourceT | InvalidObject:
    """The resource as a typed value, or what is wrong with it."""
    try:
        return model.parse(obj)
    except ValidationError as error:
        first = error.errors()[0]
        return invalid.invalid_object(first["loc"], first["msg"])


async def report_invalid(world: World, kind: Kind, view: View, found: InvalidObject) -> Outcome:
    """Report InvalidSpec, unless the status does so already; nothing remote is touched, not even to delete it."""
    stored = dict(view.obj.get("status") or {})
    new = invalid.status_of_invalid(found, Meta.parse(view.obj), readiness_in(stored), world.clock.now())
    if new is None:
        return Outcome()
    status = {**stored, **status_as_dict(new)}
    written = await attempt(lambda call: world.writer(kind, view).write(call, dict), plan.SaveStatus(status))
    return Outcome(failed=isinstance(written, ExternalError))
