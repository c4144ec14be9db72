"""Another client of the API server, with an administrator's rights, that undoes what the operator writes to one object.

    finalizer         removes the operator's finalizer
    report            removes conditions and phase
    status            removes the whole status, with all that the operator must not forget
    acknowledgement   removes from the status which request for a rebuild, or for a longer preview, was acted on
    request           takes that request's annotation away, and puts it back
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise

from tests.faults.runner.reusable_fixture import ReusableFixture

from agentex_operator.api.metadata import FINALIZER
from agentex_testkit.api_server import Object, RefusedError

REQUEST = "1"
ACKNOWLEDGED = ("lastHandledRebuildRequestedAt", "lastHandledExtendRequestedAt")
ANNOTATIONS = ("agentex.scale.com/rebuild-requested-at", "agentex.scale.com/extend-requested-at")
LOOK_AGAIN = 0.3   # seconds: after so long it looks whether its time is over
EVERY = 0.2        # seconds from one change of an annotation to the next


@dataclass
class OtherClient:
    """Undoes `what` the operator writes to one object, at most `times`, while it is `at_work`."""

    world: ReusableFixture
    kind: str
    name: str
    what: str
    times: int
    undone: list[float] = field(default_factory=list)  # when, by the monotonic clock
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Within this context, it undoes each write as soon as it sees it."""
        thread = threading.Thread(target=self._work, name="other client", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def wait(self, seconds: float) -> None:
        """Return when it has undone `times`, or after so many seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and len(self.undone) < self.times:
            time.sleep(0.05)

    @property
    def last_pause(self) -> float:
        """For how many seconds there was nothing to undo: before it undid the last time, or since then."""
        moments = [*self.undone[-2:], time.monotonic()]
        return max(later - sooner for sooner, later in pairwise(moments)) if self.undone else 0.0

    def _work(self) -> None:
        while not self._over.is_set() and len(self.undone) < self.times:
            with suppress(AssertionError):  # nothing to undo in this time
                found = self.world.wait(self.kind, self.name, self._can_be_undone, LOOK_AGAIN)
                with suppress(RefusedError):  # gone meanwhile
                    self._undo(found)

    def _can_be_undone(self, obj: Object | None) -> bool:
        return obj is not None and IS_THERE[self.what](obj)

    def _undo(self, obj: Object) -> None:
        if self.what == "request":
            self._annotate(obj, None)
            time.sleep(EVERY)
            self._annotate(obj, REQUEST)
            time.sleep(EVERY)
        elif self.what == "finalizer":
            self._note(self.world.patch(self.kind, self.name, metadata={"finalizers": None}))
        else:
            self._note(self.world.write_status(self.kind, self.name, UNDONE[self.what](obj["status"])))
        self.undone.append(time.monotonic())

    def _annotate(self, obj: Object, value: str | None) -> None:
        named = {name: value for name in ANNOTATIONS if name in obj["metadata"].get("annotations", ())}
        self.world.patch(self.kind, self.name, metadata={"annotations": named})

    def _note(self, written: Object) -> None:
        """The judge judges what the operator wrote, not this version."""
        self.world.written_by_others.add(written["metadata"]["resourceVersion"])


def _status(obj: Object) -> Object:
    found: Object = obj.get("status") or {}
    return found


def _acknowledged(obj: Object) -> bool:
    return any(_status(obj).get(name) == REQUEST for name in ACKNOWLEDGED)


IS_THERE: dict[str, Callable[[Object], bool]] = {
    "finalizer": lambda obj: FINALIZER in obj["metadata"].get("finalizers", ()) and
    "deletionTimestamp" not in obj["metadata"],
    "report": lambda obj: bool(_status(obj).get("conditions")),
    "status": lambda obj: bool(set(_status(obj)) - {"observedGeneration"}),
    "acknowledgement": _acknowledged,
    "request": _acknowledged,
}
UNDONE: dict[str, Callable[[Object], Object]] = {
    "report": lambda _status: {"conditions": None, "phase": None},
    "status": dict.fromkeys,
    "acknowledgement": lambda _status: dict.fromkeys(ACKNOWLEDGED),
}
