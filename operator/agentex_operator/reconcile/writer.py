"""The conditional writes of one pass to its object, and the Events that go with a status."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from agentex_operator.api.metadata import FINALIZER, Meta
from agentex_operator.api.status import status_as_dict
from agentex_operator.core import calls, guard, reasons
from agentex_operator.core.errors import Conflict, Unavailable, Undone
from agentex_operator.core.plan import Notice
from agentex_operator.kube.patches import conditional, merge_patch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentex_operator.core.calls import Answer, AnyWriteCall
    from agentex_operator.kube.cluster import Cluster
    from agentex_operator.kube.kinds import Kind
    from agentex_operator.reconcile.announcements import Announcements
    from agentex_operator.reconcile.engine import Engine
    from agentex_operator.reconcile.undone_writes import UndoneWrites
    from agentex_operator.reconcile.views import View


class Writer:
    """Writes one object: each write is conditional on the version that the write before it returned."""

    def __init__(self, cluster: Cluster, engine: Engine, announcements: Announcements,
                 undone: UndoneWrites, kind: Kind, view: View) -> None:
        self._cluster, self._engine, self._announcements, self._undone = cluster, engine, announcements, undone
        self._kind, self._obj = kind, dict(view.obj)
        self.sent_status: Mapping[str, object] = {}  # the last one that was written

    @property
    def stored_status(self) -> Mapping[str, object]:
        """The status as the API server has it since the last write."""
        return self._obj.get("status") or {}

    async def restore(self, status: Mapping[str, object]) -> None:
        """Write a former status back, without an Event. Raises as Cluster does."""
        await self._patch({"status": merge_patch(self.stored_status, status)}, status=True)

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
        before, self.sent_status = self._obj.get("status") or {}, status
        meta = await self._patch({"status": merge_patch(before, status)}, status=True)
        self._announcements.announce(self._obj, meta, before, status)
        for notice in notices:
            self._announcements.emit(self._obj, notice, notice.reason)
        return meta

    async def _patch(self, body: Mapping[str, object], *, status: bool = False) -> Meta:
        metadata = self._obj["metadata"]
        self._wait_if_undone(body)
        try:
            answer = await self._cluster.patch(self._kind, metadata.get("namespace"), metadata["name"],
                                               conditional(self._obj, body), status=status)
        except Conflict:
            await self._look_again()
            raise
        self._undone.note(metadata["uid"], self._obj, body, answer)
        self._engine.learn(self._kind.kind, answer)
        self._obj = answer
        with guard.raising(lambda _error: Unavailable("The API server's answer to a write cannot be read.")):
            return Meta.parse(answer)

    def _wait_if_undone(self, body: Mapping[str, object]) -> None:
        """Raise Undone, and emit an Event, while the write has to wait because another client undoes it each time."""
        metadata = self._obj["metadata"]
        pause = self._undone.pause(metadata["uid"], self._obj, body)
        if not pause:
            return
        what = "the finalizer" if "metadata" in body else "the status"
        message = (f"Another client undoes each write of the operator to {what}; the operator writes it again with "
                   f"growing delays. `kubectl get {self._kind.plural} {metadata['name']} --show-managed-fields "
                   f"--output=yaml` names that client; have it leave the finalizer {FINALIZER} and the status alone.")
        self._announcements.emit(self._obj, Notice("Warning", reasons.WRITE_UNDONE, message))
        raise Undone(message, retry_after=pause)

    async def _look_again(self) -> None:
        """Another client wrote: read its version for the next pass, without waiting for the watch."""
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
