"""The imperative shell of a pass: ask `decide`, make the call it names, tell `settle`, until there is nothing to ask.

What is not decided in core is not decided here either: this file only carries out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, assert_never

from pydantic import ValidationError

from agentex_operator import logs
from agentex_operator.api.metadata import FINALIZER, Meta
from agentex_operator.api.status import status_as_dict
from agentex_operator.core import calls, conditions, invalid, transitions
from agentex_operator.core.calls import Answer, AnyWriteCall
from agentex_operator.core.errors import Conflict, ExternalError
from agentex_operator.core.transitions import Readiness
from agentex_operator.kube.patches import conditional, merge_patch
from agentex_operator.reconcile.work_queue import Outcome

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.clock import Clock
    from agentex_operator.core.invalid import InvalidObject
    from agentex_operator.core.plan import Notice, Plan
    from agentex_operator.kube.cluster import Cluster
    from agentex_operator.kube.events import Recorder
    from agentex_operator.kube.kinds import Kind
    from agentex_operator.reconcile.engine import Engine
    from agentex_operator.reconcile.views import View
    from agentex_operator.reconcile.world import World

log = logs.logger(__name__)

MOST_CALLS = 40  # in one pass; more is a bug in the rules

ObservedT = TypeVar("ObservedT")
CallT = TypeVar("CallT")
Perform = Callable[[CallT], Awaitable[Answer]]


class RulesNeverEndError(RuntimeError):
    """A pass made more calls than any walk has: a bug in the rules."""


class Decisions(Protocol[ObservedT, CallT]):
    """The core module of a kind."""

    def decide(self, observed: ObservedT, now: datetime, /) -> Plan[CallT]: ...  # noqa: D102 - see core
    def settle(self, observed: ObservedT, call: CallT, outcome: object, now: datetime, /) -> ObservedT: ...  # noqa: D102


async def run_pass(
    core: Decisions[ObservedT, CallT], observed: ObservedT, perform: Perform[CallT], clock: Clock
) -> tuple[ObservedT, Plan[CallT]]:
    """Run one pass to its end; the last observed state, and the plan that ended the pass."""
    for _ in range(MOST_CALLS):
        planned = core.decide(observed, clock.now())
        if planned.call is None:
            return observed, planned
        outcome = await attempt(perform, planned.call)
        observed = core.settle(observed, planned.call, outcome, clock.now())
    raise RulesNeverEndError(f"{MOST_CALLS} calls in one pass, the last was {type(planned.call).__name__}")


async def attempt(perform: Perform[CallT], call: CallT) -> object:
    """The outcome of a call; an ExternalError that an adapter raises is returned as a value."""
    try:
        return (await perform(call)).outcome
    except ExternalError as error:
        log.info("call failed", call=type(call).__name__, error=type(error).__name__, message=error.message)
        return error


def outcome_of(planned: Plan[object]) -> Outcome:
    """The outcome of a pass for the engine."""
    return Outcome(requeue_after=planned.look_again, failed=planned.failed)


class Writer:
    """The conditional writes of one pass to one object, each from the view the one before it left."""

    def __init__(self, cluster: Cluster, engine: Engine, recorder: Recorder, kind: Kind, view: View) -> None:
        self._cluster, self._engine, self._recorder = cluster, engine, recorder
        self._kind, self._obj = kind, dict(view.obj)

    async def write(self, call: AnyWriteCall) -> Answer:
        """Carry out a call to the cluster. Outcome: the object's metadata afterwards. Raises as Cluster does."""
        match call:
            case calls.AddFinalizer():
                return call.answer(await self._patch({"metadata": {"finalizers": [*self._finalizers(), FINALIZER]}}))
            case calls.RemoveFinalizer():
                kept = [one for one in self._finalizers() if one != FINALIZER]
                return call.answer(await self._patch({"metadata": {"finalizers": kept}}))
            case calls.SaveStatus():
                return call.answer(await self.save(status_as_dict(call.status), call.notices))
            case calls.WriteIntent():
                return call.answer(await self.save(status_as_dict(call.status)))
            case calls.DeleteSelf():
                await self._delete()
                return call.answer(None)
            case _:
                assert_never(call)

    def _finalizers(self) -> list[str]:
        return list(self._obj["metadata"].get("finalizers") or ())

    async def save(self, status: Mapping[str, object], notices: tuple[Notice, ...] = ()) -> Meta:
        """Write the status, as the API server stores it, then emit its Events. Raises as Cluster does."""
        before = self._obj.get("status") or {}
        meta = await self._patch({"status": merge_patch(before, status)}, status=True)
        self._announce(before, status)
        for notice in notices:
            self._recorder.emit(self._obj, notice.type, notice.reason, notice.message, notice.reason)
        return meta

    async def _patch(self, body: Mapping[str, object], *, status: bool = False) -> Meta:
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

    def _announce(self, before: Mapping[str, object], after: Mapping[str, object]) -> None:
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


ResourceT = TypeVar("ResourceT")


def parsed(parse: Callable[[Mapping[str, Any]], ResourceT], obj: Mapping[str, Any]) -> ResourceT | InvalidObject:
    """The resource as a typed value, or what is wrong with it. `parse` raises pydantic's ValidationError."""
    try:
        return parse(obj)
    except ValidationError as error:
        first = error.errors()[0]
        return invalid.invalid_object(first["loc"], first["msg"])


async def report_invalid(world: World, kind: Kind, view: View, found: InvalidObject) -> Outcome:
    """Report InvalidSpec, unless the status does so already; nothing remote is touched, not even to delete it."""
    stored = dict(view.obj.get("status") or {})
    new = invalid.status_of_invalid(found, Meta.parse(view.obj), readiness_in(stored), world.clock.now())
    if new is None:
        return Outcome()
    try:
        await world.writer(kind, view).save({**stored, **status_as_dict(new)})
    except ExternalError as error:
        log.info("call failed", call="SaveStatus", error=type(error).__name__, message=error.message)
        return Outcome(failed=True)
    return Outcome()
