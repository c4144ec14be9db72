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
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")


@dataclass(slots=True)
class _Repeated:
    """One write of one object: how often it was repeated after another client's write, and when it was made last.

    `foreign`: how many writes of other clients were seen until then.
    """

    times: int
    at: float
    foreign: int


@dataclass(slots=True)
class _Written:
    """What was written to one object. `version`: the resourceVersion after the last write; `foreign`: see _Repeated."""

    version: str = ""
    foreign: int = 0
    writes: OrderedDict[str, _Repeated] = field(default_factory=OrderedDict)


class UndoneWrites:
    """Remembers the last writes of each object. A write counts as undone if it is needed again after a foreign one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._objects: dict[str, _Written] = {}

    def pause(self, uid: str, version: str, body: Mapping[str, object]) -> timedelta:
        """How long to wait before the write; zero if it may be made now. `version`: of the view it is based on."""
        written = self._objects.get(uid)
        before = written.writes.get(_digest(body)) if written else None
        if written is None or before is None or self._is_old(before):
            return timedelta()
        if before.foreign == written.foreign + (version != written.version):
            return timedelta()
        return max(timedelta(seconds=before.at - self._clock.monotonic()) + _delay(before.times + 1), timedelta())

    def note(self, uid: str, version: str, body: Mapping[str, object], written_as: str) -> None:
        """Remember a write that was made on `version`, and the version that it made."""
        written = self._objects.setdefault(uid, _Written())
        key = _digest(body)
        before = written.writes.pop(key, None)
        written.foreign += version not in ("", written.version)
        known = before is not None and not self._is_old(before)
        times = before.times + (before.foreign != written.foreign) if before is not None and known else 0
        written.writes[key] = _Repeated(times, self._clock.monotonic(), written.foreign)
        written.version = written_as
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


def _digest(body: Mapping[str, object]) -> str:
    """A digest of what is written, whatever the times in it; of the acknowledgement of a request, of that alone."""
    status = body.get("status")
    if isinstance(status, Mapping) and any(status.get(name) for name in _ACKNOWLEDGED):
        body = {name: status[name] for name in _ACKNOWLEDGED if name in status}
    return digests.digest_of(_TIME.sub("", json.dumps(body, sort_keys=True, default=str)))
