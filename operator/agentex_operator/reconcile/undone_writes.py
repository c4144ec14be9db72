"""Writes that another client undoes: each repetition waits longer, so that the two do not compete at full speed.

A controller that removes our finalizer or rewrites our status, or a second operator of another version, answers each of
our writes at once. Each answer is an event that causes a pass, and the pass makes the same write again.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from agentex_operator.core import digests

if TYPE_CHECKING:
    from agentex_operator.clock import Clock
    from agentex_operator.reconcile.views import View

AT_ONCE: Final = 5                              # repetitions of one write that do not wait
FIRST_PAUSE: Final = timedelta(seconds=1)       # doubles with each further repetition
LONGEST_PAUSE: Final = timedelta(minutes=5)
FORGOTTEN_AFTER: Final = timedelta(minutes=15)  # without that write; longer than the longest pause
KEPT: Final = 8                                 # different writes of one object that are remembered
_ACKNOWLEDGED: Final = (  # each is a create; written again if undone
    "lastHandledRebuildRequestedAt", "lastHandledExtendRequestedAt")
# Members that differ although the write is the same one: each create brings new ids, and messages name them.
_DIFFERENT: Final = frozenset({"attempt", "buildID", "condemned", "deploymentID", "failureMessage", "id",
                               "lastHealthyDeploymentID", "message", "predecessorID", "tag", "token", "url"})
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")


@dataclass(slots=True)
class _Repeated:
    """One write of one object: how often it was repeated after it was undone, and when it was made last.

    `undone`: how often writes of the operator had been undone until then.
    """

    times: int
    at: float
    undone: int


@dataclass(slots=True)
class _Written:
    """What was written to one object. `left`: a digest of what the last write left; `undone`: see _Repeated."""

    left: str = ""
    undone: int = 0
    writes: OrderedDict[str, _Repeated] = field(default_factory=OrderedDict)


class UndoneWrites:
    """Remembers the last writes of each object.

    A write counts as undone if another client changed the status or the finalizers, and the write is needed again. A
    user's edit changes neither.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._objects: dict[str, _Written] = {}

    def pause(self, uid: str, obj: Mapping[str, object], body: Mapping[str, object]) -> timedelta:
        """How long to wait before the write `body`; zero if it may be made now. `obj`: what it is to change."""
        written = self._objects.get(uid)
        before = written.writes.get(_digest(body)) if written else None
        if written is None or before is None or self._is_old(before):
            return timedelta()
        if before.undone == written.undone + _is_undone(written, obj):
            return timedelta()
        return max(timedelta(seconds=before.at - self._clock.monotonic()) + _delay(before.times + 1), timedelta())

    def note(self, uid: str, obj: Mapping[str, object], body: Mapping[str, object],
             answer: Mapping[str, object]) -> None:
        """Remember a write that changed `obj` into `answer`."""
        written = self._objects.setdefault(uid, _Written())
        key = _digest(body)
        before = written.writes.pop(key, None)
        written.undone += _is_undone(written, obj)
        known = before is not None and not self._is_old(before)
        times = before.times + (before.undone != written.undone) if before is not None and known else 0
        written.writes[key] = _Repeated(times, self._clock.monotonic(), written.undone)
        written.left = _left(answer)
        while len(written.writes) > KEPT:
            written.writes.popitem(last=False)

    def follow(self, before: View | None, after: View | None) -> None:
        """Forget an object that is gone; a subscriber of the engine."""
        if before is not None and after is None:
            self._objects.pop(before.uid, None)

    def _is_old(self, before: _Repeated) -> bool:
        return self._clock.monotonic() - before.at > FORGOTTEN_AFTER.total_seconds()


def _delay(times: int) -> timedelta:
    """The least time from a write to its repetition, `times`: which repetition in a row that is."""
    if times <= AT_ONCE:
        return timedelta()
    grown: timedelta = FIRST_PAUSE * 2 ** min(times - AT_ONCE - 1, 16)
    return min(grown, LONGEST_PAUSE)


def _is_undone(written: _Written, obj: Mapping[str, object]) -> bool:
    """Whether another client changed what the operator's last write had left."""
    return written.left not in ("", _left(obj))


def _left(obj: Mapping[str, object]) -> str:
    """A digest of what the operator writes: the status and the finalizers."""
    metadata = obj.get("metadata")
    finalizers = metadata.get("finalizers") if isinstance(metadata, Mapping) else None
    return digests.digest_of(json.dumps([obj.get("status"), finalizers], sort_keys=True))


def _digest(body: Mapping[str, object]) -> str:
    """A digest of what is written, without its times and ids; of the acknowledgement of a request, of that alone.

    After a status was removed, the next create brings another id; a write about that one is a repetition all the same.
    """
    status = body.get("status")
    if isinstance(status, Mapping) and any(status.get(name) for name in _ACKNOWLEDGED):
        body = {name: status[name] for name in _ACKNOWLEDGED if name in status}
    return digests.digest_of(_TIME.sub("", json.dumps(_without_ids(body), sort_keys=True, default=str)))


def _without_ids(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_ids(member) for key, member in value.items() if key not in _DIFFERENT}
    return [_without_ids(member) for member in value] if isinstance(value, list | tuple) else value
