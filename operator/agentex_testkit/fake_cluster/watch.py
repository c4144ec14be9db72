"""The watch of a fake API server: events in their order, at once, late or in batches as the test says."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from agentex_operator.kube.kinds import Kind

Observe = Callable[[str, str | None, Mapping[str, Any]], None]  # as Engine.observe
Event = tuple[Kind, str | None, dict[str, Any]]


class FakeWatch:
    """Tells its observer of the changes of some kinds. Held, it keeps the events until it is released."""

    def __init__(self, kinds: tuple[Kind, ...]) -> None:
        self._kinds = kinds
        self._observe: Observe | None = None
        self._events: deque[Event] = deque()
        self.held = False

    def connect(self, observe: Observe) -> None:
        """Tell this observer of what happens from now on; what happened before is not told."""
        self._events.clear()
        self._observe = observe

    def disconnect(self) -> None:
        """Tell nobody any more."""
        self._observe = None

    def add(self, kind: Kind, event: str | None, obj: Mapping[str, Any]) -> None:
        """Queue an event: ADDED, MODIFIED, DELETED, or None for an object of a list; the next `deliver` tells it."""
        if kind in self._kinds and self._observe is not None:
            self._events.append((kind, event, dict(obj)))

    def hold(self) -> None:
        """Keep the events from now on, as a watch does that is broken or behind."""
        self.held = True

    def release(self) -> None:
        """Tell all that was kept, and what comes from now on."""
        self.held = False
        self.deliver()

    def lose(self) -> None:
        """Drop the events that are kept."""
        self._events.clear()

    @property
    def pending(self) -> int:
        """How many events were not told yet."""
        return len(self._events)

    def deliver(self) -> None:
        """Tell the queued events, unless the watch is held."""
        while self._events and not self.held and self._observe is not None:
            kind, event, obj = self._events.popleft()
            self._observe(kind.kind, event, obj)
