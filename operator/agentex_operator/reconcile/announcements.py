"""What a written status brings: its Events, and for each change of Ready one Event and one line of the log."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from agentex_operator import logs
from agentex_operator.api.scalars import timestamp
from agentex_operator.core import conditions, guard, reasons, transitions
from agentex_operator.core.transitions import Readiness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentex_operator.api.metadata import Meta
    from agentex_operator.clock import Clock
    from agentex_operator.core.plan import Notice
    from agentex_operator.kube.events import Recorder
    from agentex_operator.kube.kinds import Kind

log = logs.logger(__name__)


class Announcements:
    """The Events of objects of one kind, and the lines of the log about their Ready."""

    def __init__(self, recorder: Recorder, clock: Clock, kind: Kind) -> None:
        self._recorder, self._clock, self._kind = recorder, clock, kind

    def emit(self, obj: Mapping[str, object], notice: Notice, action: str = "Reconcile") -> None:
        """Emit an Event about the object; `action` is CamelCase."""
        self._recorder.emit(obj, notice.type, notice.reason, notice.message, action)

    def announce(self, obj: Mapping[str, object], meta: Meta, before: Mapping[str, object],
                 after: Mapping[str, object]) -> None:
        """Emit an Event and log a line if Ready has another meaning in the status `after` than in `before`."""
        former, ready = readiness_in(before), readiness_in(after)
        event = transitions.event_of(former, ready)
        if event is None or ready is None:
            return
        self.emit(obj, event)
        since = former.since if former else timestamp(meta.creation_timestamp)
        log.info("Ready changed", ready=ready.status, reason=ready.reason, id=after.get(self._kind.remote_id or ""),
                 duration=guard.or_none(_seconds, since, self._clock.now()))


def _seconds(since: str, now: datetime) -> float:
    """The seconds from a stored timestamp until now; 0.0 if the timestamp is ahead of the operator's clock."""
    return round(max((now - datetime.fromisoformat(since)).total_seconds(), 0.0), 3)


def readiness_in(status: Mapping[str, Any]) -> Readiness | None:
    """The condition Ready of a status as the API server stores it; None without one."""
    found = {one["type"]: one for one in status.get("conditions") or ()}
    ready = found.get(conditions.READY)
    if ready is None:
        return None
    return Readiness(ready["status"], reasons.stored(ready["reason"]), ready["message"],
                     ready.get("observedGeneration"), conditions.STALLED in found, str(ready.get("lastTransitionTime")))
