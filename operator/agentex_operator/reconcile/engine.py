"""The work queue: newest view per object, one pass in flight per object, due times, backoff, bounded workers.

    observe/learn ──> views ──> dirty (FIFO) ──> worker ──> reconcile(view) ──> Outcome
                                   ^                                              │
                                   └── due times (one heap, one timer) <── requeue_after, backoff

An event's kind is not a reason to act: it only makes an object dirty, and the pass looks at the newest view.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agentex_operator import logs

if TYPE_CHECKING:
    from agentex_operator.clock import Clock, Timer

log = logs.logger(__name__)

POLL_SPREAD = 0.1  # a requeue is late by up to a tenth, so that what was started together does not stay together
A_TIMERS_HASTE = 0.05  # seconds by which a timer may ring before its time


@dataclass(frozen=True, slots=True)
class View:
    """One object as last seen, from the watch or from the answer to our own write; managedFields left out."""

    kind: str
    uid: str
    namespace: str | None
    name: str
    resource_version: str
    obj: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str | None, str]:
        """Kind, namespace and name: what a person calls it; a successor has the same."""
        return self.kind, self.namespace, self.name


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass says about the next: when to look again if nothing wakes us, and whether this one failed."""

    requeue_after: timedelta | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that grow from `first` by `factor` up to `cap`; jitter takes away up to half of each."""

    first: timedelta = timedelta(seconds=1)
    cap: timedelta = timedelta(minutes=5)
    factor: float = 2.0

    def delay(self, failures: int, jitter: float) -> timedelta:
        """How long to wait after that many failures in a row (>= 1); jitter in [0, 1)."""
        exponent = min(failures - 1, 64)  # far beyond any cap, far below a float's end
        seconds = min(self.first.total_seconds() * self.factor**exponent, self.cap.total_seconds())
        return timedelta(seconds=seconds * (1 - jitter / 2))


@dataclass(frozen=True, slots=True)
class Stats:
    """The engine at one moment, for probes and metrics; `wishes` counts due times, overtaken ones included."""

    known: int
    depth: int
    in_flight: int
    wishes: int
    oldest_wait: timedelta
    longest_pass: timedelta
    bugs: int


Reconcile = Callable[[View], Awaitable[Outcome]]
Gone = Callable[[View], None]
Watcher = Callable[[View | None, View | None], None]


@dataclass(slots=True)
class _Entry:
    """All the engine keeps of one object."""

    view: View
    failures: int = 0
    due: tuple[float, int] | None = None  # the time, and which of the wishes for it counts
    queued_at: float | None = None
    started_at: float | None = None
    again: bool = False
    unexplained: set[str] = field(default_factory=set)  # versions seen during the pass that it has not written itself
    retry_at: float = 0.0  # when the last failure may be followed by another try
    forgotten: bool = False


@dataclass(slots=True)
class _Kind:
    """What was registered for a kind, and its objects."""

    reconcile: Reconcile | None = None
    gone: Gone | None = None
    watchers: list[Watcher] = field(default_factory=list)
    entries: dict[str, _Entry] = field(default_factory=dict)


class Engine:
    """Runs `reconcile` for what is dirty or due, never twice at once for one uid. All of it on one event loop."""

    def __init__(
        self,
        clock: Clock,
        workers: int,
        jitter: Callable[[], float],
        backoff: Backoff | None = None,
    ) -> None:
        self._clock = clock
        self._workers = workers
        self._jitter = jitter
        self._backoff = backoff or Backoff()
        self._kinds: dict[str, _Kind] = {}
        self._entries: dict[str, _Entry] = {}
        self._names: dict[tuple[str, str | None, str], str] = {}
        self._dirty: asyncio.Queue[_Entry] = asyncio.Queue()
        self._due: list[tuple[float, int, _Entry]] = []
        self._order = itertools.count()
        self._timer: Timer | None = None
        self._timer_at: float | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._busy: dict[asyncio.Task[None], _Entry] = {}
        self._stopping = False
        self.bugs = 0

    # -- what the composition root says ------------------------------------------------------------------------

    def register(self, kind: str, reconcile: Reconcile, gone: Gone | None = None) -> None:
        """Name the pass of a kind, and who is told when an object of it has gone."""
        registered = self._kind(kind)
        registered.reconcile, registered.gone = reconcile, gone

    def subscribe(self, kind: str, callback: Watcher) -> None:
        """Tell `callback(old, new)` of every change of a kind's views: old None when first seen, new None when gone.

        Our own writes count as changes. It must not block; what it raises is logged and counted as a bug.
        """
        self._kind(kind).watchers.append(callback)

    async def start(self) -> None:
        """Start the workers; what became dirty before is worked on now."""
        self._stopping = False
        self._tasks = [asyncio.create_task(self._work(), name=f"worker {n}") for n in range(self._workers)]
        self._arm()

    async def drain(self, within: timedelta) -> None:
        """Take no more wakes, let the passes in flight finish `within` that time, cancel those that do not."""
        self._stopping = True
        self._disarm()
        for task in self._tasks:
            if task not in self._busy:
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within.total_seconds())
        await self._cancel_the_rest()

    async def _cancel_the_rest(self) -> None:
        for task, entry in self._busy.items():
            log.warning("pass cut off by shutdown", **_fields(entry.view))
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    # -- what the watch and our own writes say -----------------------------------------------------------------

    def observe(self, kind: str, event_type: str | None, obj: Mapping[str, Any]) -> None:
        """Take in a watch event in O(1): never awaits, never raises. Echoes and stale views change nothing."""
        seen = view_of(kind, obj)
        if seen is None:
            return
        if event_type == "DELETED":
            self.forget(seen.uid)
        elif self._remember(seen):
            self._wake_for(seen)

    def _wake_for(self, seen: View) -> None:
        """During a pass it may be the echo of a write whose answer is still on its way: `learn` will tell."""
        entry = self._entries[seen.uid]
        if entry.started_at is None:
            self.wake(seen.uid)
        else:
            entry.unexplained.add(seen.resource_version)

    def learn(self, kind: str, obj: Mapping[str, Any]) -> None:
        """Take in the answer to our own write, so that the next pass reads what this one wrote; wakes nobody.

        Two exceptions: an answer that shows somebody else's edit wakes (its event will look like our echo), and an
        object whose last finalizer we removed is forgotten at once.
        """
        seen = view_of(kind, obj)
        if seen is None or (entry := self._entries.get(seen.uid)) is None:
            return
        before = entry.view
        entry.unexplained.discard(seen.resource_version)
        if _has_left(seen):
            self.forget(seen.uid)
        elif self._remember(seen) and _edited(before) != _edited(seen):
            self.wake(seen.uid)

    def forget(self, uid: str) -> None:
        """Drop an object that has gone: no more passes; the subscribers are told, once.

        So is `gone`, once no pass is in flight: what that one still opens or claims must not outlive it.
        """
        entry = self._entries.pop(uid, None)
        if entry is None:
            return
        entry.forgotten = True
        kind = self._kind(entry.view.kind)
        del kind.entries[uid]
        if self._names.get(entry.view.key) == uid:
            del self._names[entry.view.key]
        if entry.started_at is None:
            self._clean_up_after(entry)
        self._announce(entry.view, None)

    def _clean_up_after(self, entry: _Entry) -> None:
        gone = self._kind(entry.view.kind).gone
        if gone is not None:
            self._tell(gone, entry.view)

    def _remember(self, seen: View) -> bool:
        """Keep the view if it is news; False for an echo, a stale one, or one of a predecessor."""
        entry = self._entries.get(seen.uid)
        if entry is None:
            return self._meet(seen)
        if not is_newer(seen.resource_version, entry.view.resource_version):
            return False
        before, entry.view = entry.view, seen
        self._announce(before, seen)
        return True

    def _meet(self, seen: View) -> bool:
        """A uid not seen before: it replaces whoever had its name, unless it is the older of the two."""
        namesake = self._entries.get(self._names.get(seen.key, ""))
        if namesake is not None and not is_newer(seen.resource_version, namesake.view.resource_version):
            return False
        if namesake is not None:
            self.forget(namesake.view.uid)
        entry = _Entry(seen)
        self._entries[seen.uid] = self._kind(seen.kind).entries[seen.uid] = entry
        self._names[seen.key] = seen.uid
        self._announce(None, seen)
        return True

    def _announce(self, before: View | None, after: View | None) -> None:
        view = after or before
        if view is not None:
            for watcher in self._kind(view.kind).watchers:
                self._tell(watcher, before, after)

    def _tell(self, listener: Callable[..., None], *views: View | None) -> None:
        try:
            listener(*views)
        except Exception:  # one listener's bug must not cost the others their event
            self.bugs += 1
            log.exception("a listener raised: this is a bug in the operator", listener=repr(listener))

    # -- waking ------------------------------------------------------------------------------------------------

    def wake(self, uid: str) -> None:
        """Have a pass soon; during a pass, have another one after it. Unknown uids are ignored."""
        entry = self._entries.get(uid)
        if entry is None or self._stopping:
            return
        if entry.started_at is not None:
            entry.again = True
        elif entry.queued_at is None:
            entry.queued_at = self._clock.monotonic()
            self._dirty.put_nowait(entry)

    def wake_after(self, uid: str, delay: timedelta) -> None:
        """Have a pass no later than `delay` from now; of several wishes the earliest counts."""
        entry = self._entries.get(uid)
        if entry is None or self._stopping:
            return
        at = self._clock.monotonic() + max(delay.total_seconds(), 0.0)
        if entry.due is None or at < entry.due[0]:
            entry.due = at, next(self._order)
            heapq.heappush(self._due, (*entry.due, entry))
            self._compact()
            self._arm()

    def _compact(self) -> None:
        """Throw away overtaken wishes once they are the greater part of the heap."""
        if len(self._due) > 2 * len(self._entries) + 64:
            self._due = [wish for wish in self._due if _is_due_time_of(wish)]
            heapq.heapify(self._due)

    def _arm(self) -> None:
        """Set the one timer to the earliest due time; wishes that were overtaken are thrown away on the way."""
        while self._due and not _is_due_time_of(self._due[0]):
            heapq.heappop(self._due)
        at = self._due[0][0] if self._due and not self._stopping else None
        if at == self._timer_at:
            return
        self._disarm()
        if at is not None:
            self._timer_at = at
            self._timer = self._clock.call_later(max(at - self._clock.monotonic(), 0.0), self._ring)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timer_at = None

    def _ring(self) -> None:
        self._timer = self._timer_at = None
        now = self._clock.monotonic()
        while self._due and self._due[0][0] <= now:
            at, order, entry = heapq.heappop(self._due)
            if entry.due == (at, order):
                entry.due = None
                self.wake(entry.view.uid)
        self._arm()

    # -- working -----------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while not self._stopping:
            entry = await self._dirty.get()
            entry.queued_at = None
            if not entry.forgotten:
                await self._pass(entry)

    async def _pass(self, entry: _Entry) -> None:
        """One pass, from the newest view; whatever it wishes for later is written down when it ends."""
        worker = asyncio.current_task()
        assert worker is not None, "a pass runs in a worker"  # noqa: S101 - asyncio's own invariant
        began = entry.started_at = self._clock.monotonic()
        entry.due, entry.again = None, False
        entry.unexplained.clear()
        self._busy[worker] = entry
        try:
            outcome = await self._outcome(entry.view)
        finally:
            entry.started_at = None
            del self._busy[worker]
            if entry.forgotten:
                self._clean_up_after(entry)
        self._settle(entry, outcome, early=began + A_TIMERS_HASTE < entry.retry_at)

    async def _outcome(self, view: View) -> Outcome:
        """What the pass said; an exception is a bug of ours: logged with its trace, counted, and a failure."""
        with logs.bound(**_fields(view), reconcileID=uuid.uuid4().hex[:12]):
            try:
                return await self._reconciler(view.kind)(view)
            except asyncio.CancelledError:
                _leave_if_cancelled()
                return self._bug("a pass was cancelled from inside")
            except Exception:  # the last line: one object's bug must not stop a worker
                return self._bug("a pass raised: this is a bug in the operator")

    def _bug(self, message: str) -> Outcome:
        self.bugs += 1
        log.exception(message)
        return Outcome(failed=True)

    def _settle(self, entry: _Entry, outcome: Outcome, *, early: bool) -> None:
        """Count failures, set the next due time, and start over at once if something happened meanwhile.

        A try that somebody else woke too early says nothing new: it does not make the next wait longer.
        """
        if entry.forgotten:
            return
        entry.failures = (entry.failures + (not early) if entry.failures else 1) if outcome.failed else 0
        if (delay := self._next_look(entry.failures, outcome)) is not None:
            self.wake_after(entry.view.uid, delay)
            entry.retry_at = self._clock.monotonic() + delay.total_seconds() if outcome.failed else 0.0
        if entry.again or entry.unexplained:
            self.wake(entry.view.uid)

    def _next_look(self, failures: int, outcome: Outcome) -> timedelta | None:
        asked = outcome.requeue_after
        if failures:
            return max(self._backoff.delay(failures, self._jitter()), asked or timedelta())
        return asked * (1 + POLL_SPREAD * self._jitter()) if asked is not None else None

    # -- reading -----------------------------------------------------------------------------------------------

    def view(self, uid: str) -> View | None:
        """The newest view of an object, or None if it is not known."""
        entry = self._entries.get(uid)
        return entry.view if entry else None

    def find(self, kind: str, namespace: str | None, name: str) -> View | None:
        """The newest view by name, or None; namespace None for cluster-scoped kinds."""
        return self.view(self._names.get((kind, namespace, name), ""))

    def views(self, kind: str) -> Iterator[View]:
        """The newest views of a kind, as of now, in no particular order."""
        return iter([entry.view for entry in self._kind(kind).entries.values()])

    def failures(self, uid: str) -> int:
        """How many passes of an object failed in a row."""
        entry = self._entries.get(uid)
        return entry.failures if entry else 0

    @property
    def stats(self) -> Stats:
        """Depth of the queue, passes in flight, and how old the oldest of each is."""
        now = self._clock.monotonic()
        waits = [now - e.queued_at for e in self._entries.values() if e.queued_at is not None]
        passes = [now - e.started_at for e in self._busy.values() if e.started_at is not None]
        return Stats(
            known=len(self._entries),
            depth=len(waits),
            in_flight=len(passes),
            wishes=len(self._due),
            oldest_wait=timedelta(seconds=max(waits, default=0.0)),
            longest_pass=timedelta(seconds=max(passes, default=0.0)),
            bugs=self.bugs,
        )

    def _kind(self, kind: str) -> _Kind:
        return self._kinds.setdefault(kind, _Kind())

    def _reconciler(self, kind: str) -> Reconcile:
        return self._kind(kind).reconcile or _nothing_to_do


def view_of(kind: str, obj: Mapping[str, Any]) -> View | None:
    """The view of a raw object, without its managedFields; None of something that is no object."""
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key != "managedFields"}
    if not metadata.get("uid") or not metadata.get("name"):
        return None
    return View(
        kind=kind,
        uid=metadata["uid"],
        namespace=metadata.get("namespace"),
        name=metadata["name"],
        resource_version=metadata.get("resourceVersion", ""),
        obj={**obj, "metadata": metadata},
    )


def is_newer(version: str, than: str) -> bool:
    """Compare resourceVersions: as numbers where both are (all API servers'), else any other one counts as newer."""
    if version.isdecimal() and than.isdecimal():
        return int(version) > int(than)
    return version != than


async def _nothing_to_do(_: View) -> Outcome:
    return Outcome()


def _edited(view: View) -> tuple[Any, ...]:
    """What others change of an object, and we never do."""
    metadata = view.obj["metadata"]
    return tuple(metadata.get(key) for key in ("generation", "deletionTimestamp", "annotations", "labels"))


def _has_left(view: View) -> bool:
    metadata = view.obj["metadata"]
    return bool(metadata.get("deletionTimestamp")) and not metadata.get("finalizers")


def _is_due_time_of(wish: tuple[float, int, _Entry]) -> bool:
    at, order, entry = wish
    return entry.due == (at, order) and not entry.forgotten


def _leave_if_cancelled() -> None:
    """Re-raise when the worker itself is cancelled, not something it waited for."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _fields(view: View) -> dict[str, Any]:
    return {
        "controller": view.kind.lower(),
        "controllerKind": view.kind,
        "namespace": view.namespace,
        "name": view.name,
        "uid": view.uid,
        "generation": view.obj["metadata"].get("generation"),
    }
