"""The workers: take objects from the work queue, and run the pass of each, a bounded number at once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentex_operator import logs
from agentex_operator.core.internal_error import InternalFailure
from agentex_operator.reconcile.bugs import CallRaisedError, reference_of
from agentex_operator.reconcile.slots import Slots
from agentex_operator.reconcile.views import View
from agentex_operator.reconcile.work_queue import Outcome

if TYPE_CHECKING:
    from datetime import timedelta

    from agentex_operator.reconcile.bugs import Bugs
    from agentex_operator.reconcile.work_queue import WorkQueue

log = logs.logger(__name__)

Reconcile = Callable[[View], Awaitable[Outcome]]
Gone = Callable[[View], None]
Report = Callable[[View, InternalFailure], Awaitable[None]]


@dataclass(slots=True, eq=False)
class _Pass:
    """A pass in flight."""

    view: View  # what the pass reads
    task: asyncio.Task[None] | None = None
    unconfirmed: set[str] = field(default_factory=set)  # versions seen meanwhile that may be somebody else's
    removed: View | None = None  # the last view of the object, if it was removed meanwhile


class Workers:
    """Runs the pass of each object that the queue hands out, with the newest view of the object."""

    def __init__(self, queue: WorkQueue, newest: Callable[[str], View | None], bugs: Bugs, count: int) -> None:
        self._queue = queue
        self._newest = newest
        self._bugs = bugs
        self._count = count
        self.slots = Slots(count)
        self._reconcile: dict[str, Reconcile] = {}
        self._gone: dict[str, Gone | None] = {}
        self._report: dict[str, Report | None] = {}
        self._dispatcher: asyncio.Task[None] | None = None
        self._passes: dict[str, _Pass] = {}

    def register(self, kind: str, reconcile: Reconcile, gone: Gone | None, report: Report | None) -> None:
        """Name the pass of a kind, the callback for its objects that have gone, and that for a pass that raised."""
        self._reconcile[kind], self._gone[kind], self._report[kind] = reconcile, gone, report

    async def start(self) -> None:
        """Begin to take objects; those that were queued before are worked on now."""
        self.slots = Slots(self._count)
        self._dispatcher = asyncio.create_task(self._dispatch(), name="dispatcher of passes")

    async def drain(self, within: timedelta) -> None:
        """Take no more objects; the queue must be shut before. A pass still in flight after `within` is cancelled."""
        if self._dispatcher is not None:
            self._dispatcher.cancel()
        if tasks := self._tasks():
            await asyncio.wait(tasks, timeout=within.total_seconds())
        for running in self._passes.values():
            log.warning("pass cut off by shutdown", **_fields(running.view))
        tasks = self._tasks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [running.task for running in self._passes.values() if running.task is not None]

    # -- what happens to an object during its pass -----------------------------------------------------------------

    def note_change(self, view: View) -> bool:
        """Note a new version of an object whose pass is in flight; False if no pass of it is in flight.

        The version may be the echo of a write whose response is still on its way. Another pass follows, unless
        `note_own_write` confirms this before the pass ends.
        """
        running = self._passes.get(view.uid)
        if running is not None:
            running.unconfirmed.add(view.resource_version)
        return running is not None

    def note_own_write(self, view: View) -> None:
        """Note that this version is the operator's own write, so that it needs no other pass."""
        if (running := self._passes.get(view.uid)) is not None:
            running.unconfirmed.discard(view.resource_version)

    def clean_up(self, view: View) -> None:
        """Call `gone` for an object that was removed; if its pass is in flight, only when that pass has ended.

        What such a pass still opens or claims must not outlive it.
        """
        running = self._passes.get(view.uid)
        if running is None:
            self._call_gone(view)
        else:
            running.removed = view
            running.unconfirmed.clear()

    def _call_gone(self, view: View) -> None:
        if (gone := self._gone.get(view.kind)) is not None:
            self._bugs.call(gone, view)

    # -- working ---------------------------------------------------------------------------------------------------

    async def _dispatch(self) -> None:
        while not self._queue.shut:
            await self._queue.filled()
            await self.slots.take()
            if (uid := self._queue.take()) is None:
                self.slots.give_back()
            else:
                self._begin(uid)

    def _begin(self, uid: str) -> None:
        view = self._newest(uid)
        assert view is not None, "the queue drops what the cache forgets"  # noqa: S101 - see Engine
        running = self._passes[uid] = _Pass(view)
        running.task = asyncio.create_task(self._pass(running), name=f"pass of {uid}")

    async def _pass(self, running: _Pass) -> None:
        """Run one pass, and tell the queue its outcome; a pass that is cancelled has none."""
        uid = running.view.uid
        try:
            self._queue.requeue(uid, await self._outcome(running.view))
        finally:
            self._end(uid, running)
            self.slots.give_back()

    def _end(self, uid: str, running: _Pass) -> None:
        del self._passes[uid]
        if running.removed is not None:
            self._call_gone(running.removed)
        if running.unconfirmed:
            self._queue.add(uid)
        self._queue.done(uid)

    async def _outcome(self, view: View) -> Outcome:
        """The outcome of the pass; an exception is a bug of ours: it is recorded, and the pass has failed."""
        with logs.bound(**_fields(view), reconcileID=uuid.uuid4().hex[:12]):
            try:
                return await self._reconcile.get(view.kind, _nothing_to_do)(view)
            except asyncio.CancelledError as error:
                _raise_if_the_pass_is_cancelled()
                return await self._bug(view, error, "a pass was cancelled from inside")
            except Exception as error:  # the last line: one object's bug must not stop a worker
                return await self._bug(view, error, "a pass raised: this is a bug in the operator")

    async def _bug(self, view: View, error: BaseException, message: str) -> Outcome:
        """Record the exception, and have the object's status report it; the pass has failed."""
        call = error.call if isinstance(error, CallRaisedError) else None
        failure = InternalFailure(reference_of(error, view.uid), call)
        self._bugs.record(message, reference=failure.reference)
        report, newest = self._report.get(view.kind), self._newest(view.uid)
        if report is not None and newest is not None:
            await self._reported(report(newest, failure), failure)
        return Outcome(failed=True)

    async def _reported(self, report: Awaitable[None], failure: InternalFailure) -> None:
        try:
            await report
        except (Exception, asyncio.CancelledError):  # as in _outcome
            _raise_if_the_pass_is_cancelled()
            self._bugs.record("an internal error could not be reported", reference=failure.reference)


async def _nothing_to_do(_: View) -> Outcome:
    return Outcome()


def _raise_if_the_pass_is_cancelled() -> None:
    """Raise CancelledError when the pass itself is cancelled, not something that it waited for."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _fields(view: View) -> dict[str, object]:
    return {
        "kind": view.kind,
        "namespace": view.namespace,
        "name": view.name,
        "uid": view.uid,
        "generation": view.obj["metadata"].get("generation"),
    }
