"""The engine: the cache of views, the work queue and the workers, as the one object that everything else uses.

    observe, learn ──> ViewCache ──> WorkQueue ──> Workers ──> reconcile(view) ──> Outcome
                                        ^                                            │
                                        └──────── requeue_after, backoff ────────────┘

The kind of an event is no reason to act: an event only queues its object, and the pass reads the newest view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentex_operator.reconcile import urgency
from agentex_operator.reconcile.bugs import Bugs
from agentex_operator.reconcile.cache import ViewCache
from agentex_operator.reconcile.shared_strings import SharedStrings
from agentex_operator.reconcile.urgency import Urgency
from agentex_operator.reconcile.views import is_edited, is_newer, is_removed, view_of
from agentex_operator.reconcile.work_queue import Backoff, WorkQueue
from agentex_operator.reconcile.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager
    from datetime import timedelta

    from agentex_operator.clock import Clock
    from agentex_operator.reconcile.cache import Subscriber
    from agentex_operator.reconcile.dependents import References
    from agentex_operator.reconcile.views import Key, View
    from agentex_operator.reconcile.workers import Gone, Reconcile, Report


@dataclass(frozen=True, slots=True)
class Stats:
    """The engine at one moment, for probes and metrics; `due_times` counts overtaken ones too.

    `not_begun`: how many objects that were there at the start wait for their first pass.
    """

    known: int
    depth: int
    not_begun: int
    in_flight: int
    due_times: int
    oldest_wait: timedelta
    longest_pass: timedelta
    bugs: int


class Engine:
    """Runs the pass of each object that changed or is due, never two at once for one uid; all on one event loop."""

    def __init__(
        self,
        clock: Clock,
        workers: int,
        jitter: Callable[[], float],
        backoff: Backoff | None = None,
    ) -> None:
        self._bugs = Bugs()
        self._strings = SharedStrings()
        self._older_listed: list[Callable[[View], None]] = []
        self._goes_first: set[str] = set()  # the kinds whose objects many others depend on
        self._cache = ViewCache(self._bugs, removed=self._drop)
        self._queue = WorkQueue(clock, jitter, backoff or Backoff(), self._is_first)
        self._workers = Workers(self._queue, self._cache.view, self._bugs, workers)

    # -- setting up, starting and ending -----------------------------------------------------------------------

    def register(self, kind: str, reconcile: Reconcile, gone: Gone | None = None,
                 references: References | None = None, report: Report | None = None, *,
                 goes_first: bool = False) -> None:
        """Name the pass of a kind, the callback for its objects that have gone, and the objects that they refer to.

        `report` is awaited with the object's view after a pass that raised, to tell so in its status. `goes_first`: the
        objects of the kind have their passes before all others, because many depend on each.
        """
        self._workers.register(kind, reconcile, gone, report)
        if goes_first:
            self._goes_first.add(kind)
        if references is not None:
            self._cache.index(kind, references)

    def subscribe(self, kind: str, subscriber: Subscriber) -> None:
        """Call `subscriber(old, new)` for every change of a kind's views: old None when first seen, new None when gone.

        Our own writes count as changes. The subscriber must not block; what it raises is logged and counted as a bug.
        """
        self._cache.subscribe(kind, subscriber)

    def on_older_listed(self, callback: Callable[[View], None]) -> None:
        """Call `callback(listed)` for each object that a list of the watch shows older than the cache has it."""
        self._older_listed.append(callback)

    async def start(self) -> None:
        """Start the workers; objects that were queued before are worked on now."""
        self._queue.open()
        await self._workers.start()

    async def drain(self, within: timedelta) -> None:
        """Queue nothing more, and wait `within` that time for the passes in flight; then cancel them."""
        self._queue.shut_down()
        await self._workers.drain(within)

    # -- taking in objects -------------------------------------------------------------------------------------

    def observe(self, kind: str, event_type: str | None, obj: Mapping[str, Any]) -> None:
        """Take in a watch event: takes O(1), never raises. Echoes and stale views change nothing."""
        seen = self._seen(kind, obj)
        if seen is None:
            return
        if event_type == "DELETED":
            self.forget(seen.uid)
        elif self._cache.remember(seen):
            if not self._workers.note_change(seen):
                self.wake(seen.uid, urgency.of_event(event_type, seen))
        elif event_type is None and (known := self.view(seen.uid)) and is_newer(
                known.resource_version, seen.resource_version):
            for callback in self._older_listed:
                callback(seen)

    def learn(self, kind: str, obj: Mapping[str, Any]) -> None:
        """Take in the response to our own write, so that the next pass reads what this one wrote; causes no pass.

        Two exceptions: a response that shows somebody else's edit causes one (the event of the edit will look like our
        echo), and an object whose last finalizer we removed is forgotten at once.
        """
        seen = self._seen(kind, obj)
        if seen is None or (before := self.view(seen.uid)) is None:
            return
        self._workers.note_own_write(seen)
        if is_removed(seen):
            self.forget(seen.uid)
        elif self._cache.remember(seen) and is_edited(before, seen):
            self.wake(seen.uid)

    def _seen(self, kind: str, obj: Mapping[str, object]) -> View | None:
        view = view_of(kind, obj)
        return None if view is None else self._strings.view(view)

    def forget(self, uid: str) -> None:
        """Drop an object that has gone: it has no more passes, and its subscribers are called.

        `gone` is called too: now, or at the end of the object's pass in flight.
        """
        self._cache.forget(uid)

    def _drop(self, view: View) -> None:
        self._queue.drop(view.uid)
        self._workers.clean_up(view)

    # -- waking ------------------------------------------------------------------------------------------------

    def wake(self, uid: str, urgent: Urgency = Urgency.CHANGED) -> None:
        """Have a pass soon; during a pass, have another one after it. Unknown uids are ignored."""
        if self.view(uid) is not None:
            self._queue.add(uid, urgent)

    def wake_after(self, uid: str, delay: timedelta) -> None:
        """Have a pass no later than `delay` from now; of several delays the one that ends first counts."""
        if self.view(uid) is not None:
            self._queue.add_after(uid, delay)

    def _is_first(self, uid: str) -> bool:
        view = self.view(uid)
        return view is not None and view.kind in self._goes_first

    def without_a_slot(self) -> AbstractAsyncContextManager[None]:
        """Within this context the pass waits for what it shares with others, and another pass may run in its place."""
        return self._workers.slots.given_back()

    # -- reading -----------------------------------------------------------------------------------------------

    def view(self, uid: str) -> View | None:
        """The newest view of an object, or None if it is not known."""
        return self._cache.view(uid)

    def find(self, kind: str, namespace: str | None, name: str) -> View | None:
        """The newest view by name, or None; namespace None for cluster-scoped kinds."""
        return self._cache.find(kind, namespace, name)

    def views(self, kind: str) -> Iterator[View]:
        """The newest views of a kind at the time of the call, in no particular order."""
        return self._cache.views(kind)

    def newest_version(self, kind: str) -> int:
        """The highest resourceVersion of this kind that was ever kept; 0 if no version was a number."""
        return self._cache.newest_version(kind)

    def dependents(self, kind: str, namespace: str | None, name: str) -> list[View]:
        """The newest views of the objects that refer to the object of that name, whether or not that one exists.

        Which objects an object refers to is said by the `references` registered for its kind.
        """
        return self._cache.dependents(kind, namespace, name)

    def references(self, uid: str) -> frozenset[Key]:
        """The objects that an object refers to; none for unknown uids."""
        return self._cache.references(uid)

    def referred(self, kind: str, namespace: str | None) -> list[Key]:
        """The objects of this kind that any object refers to, whether or not they exist; as `referring`."""
        return self._cache.referred(kind, namespace)

    def referring(self, kind: str, namespace: str | None) -> list[str]:
        """The uids of the objects that refer to any object of this kind; in this namespace, or for None in any."""
        return self._cache.referring(kind, namespace)

    def failures(self, uid: str) -> int:
        """How many passes of an object failed in a row."""
        return self._queue.failures(uid)

    @property
    def bugs(self) -> int:
        """How many passes and listeners raised what only a bug in the operator can raise."""
        return self._bugs.count

    @property
    def stats(self) -> Stats:
        """Numbers of objects known, queued and in flight, and the age of the oldest wait and pass."""
        queue = self._queue.stats
        return Stats(
            known=len(self._cache),
            depth=queue.depth,
            not_begun=queue.not_begun,
            in_flight=queue.in_flight,
            due_times=queue.due_times,
            oldest_wait=queue.oldest_wait,
            longest_pass=queue.longest_pass,
            bugs=self.bugs,
        )
