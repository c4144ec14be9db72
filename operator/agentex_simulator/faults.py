"""Scripted faults: which calls they fire on, how often, and the record of it."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from agentex_simulator.calls import Call
from agentex_simulator.course import Course
from agentex_simulator.errors import broken_rule
from agentex_simulator.fault_kinds import KINDS

MATCHES = frozenset({"method", "path", "regex", "account", "id", "query"})


@dataclass
class Fault:
    """Fires on the `nth` matching call and the `count - 1` after it.

    `match` holds any of: method, path (template, or path without the prefix), regex (searched in the path), account,
    id (of the path), query ({name: regex}). Nothing given matches everything.
    """

    id: str
    kind: str
    match: Mapping[str, Any] = field(default_factory=dict)
    nth: int = 1
    count: float = 1
    params: Mapping[str, Any] = field(default_factory=dict)
    seen: int = 0
    fired: int = 0

    def fires(self, call: Call) -> bool:
        """Count the call if it matches, and say whether it is one to fire on."""
        if not (KINDS[self.kind].concerns(call) and matches(self.match, call)):
            return False
        self.seen += 1
        firing = self.nth <= self.seen < self.nth + self.count
        self.fired += firing
        return firing

    def listing(self) -> dict[str, Any]:
        """As the control plane shows it; count is null when it fires for ever."""
        return {**vars(self), "count": None if math.isinf(self.count) else self.count}


class Faults:
    """The scripted faults, oldest first; all that fire on a call bend its course together."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._added = 0

    def add(self, script: Mapping[str, Any]) -> Fault:
        """Script a fault; RejectedError 400 for an unknown kind, matcher or pattern."""
        rest = dict(script)
        kind, match = str(rest.pop("kind", "")), rest.pop("match", {})
        _check(kind, match)
        self._added += 1
        nth, count = _occurrences(rest)
        fault = Fault(f"fault-{self._added}", kind, match, nth, count, rest)
        _try_out(kind, rest)
        self._faults.append(fault)
        return fault

    def remove(self, fault_id: str | None = None) -> None:
        """Forget one, or all."""
        self._faults = [fault for fault in self._faults if fault_id not in {None, fault.id}]

    def course(self, call: Call) -> Course:
        """What will happen to this call."""
        course = Course()
        for fault in [fault for fault in self._faults if fault.fires(call)]:
            KINDS[fault.kind].bend(course, fault.params)
            course.names.append(f"{fault.id}:{fault.kind}")
        return course

    def skew(self) -> timedelta:
        """How wrong the remote's clock is."""
        seconds = (fault.params.get("seconds", 0) for fault in self._faults if fault.kind == "clock-skew")
        return timedelta(seconds=sum(map(float, seconds)))

    def listing(self) -> list[dict[str, Any]]:
        """All of them, with how often each was seen and fired."""
        return [fault.listing() for fault in self._faults]


def matches(match: Mapping[str, Any], call: Call) -> bool:
    """Whether a matcher names this call."""
    request, path = call.request, call.entry["path"]
    query = match.get("query", {})
    return all(
        (
            match.get("method", request.method).upper() == request.method,
            match.get("path", path) in {path, call.template},
            re.search(match.get("regex", ""), path) is not None,
            match.get("account", call.account) == call.account,
            match.get("id", call.wanted) == call.wanted,
            all(re.search(pattern, request.query.get(name, "")) for name, pattern in query.items()),
        )
    )


def _occurrences(script: dict[str, Any]) -> tuple[int, float]:
    """Take nth, count and forever out of a script."""
    forever, nth, count = script.pop("forever", False), script.pop("nth", 1), script.pop("count", 1)
    if not isinstance(nth, int) or not isinstance(count, int):
        raise broken_rule("nth and count must be whole numbers")
    return nth, math.inf if forever else count


def _try_out(kind: str, params: Mapping[str, Any]) -> None:
    """A parameter that is missing or of the wrong type shows now, not in the middle of a call."""
    try:
        KINDS[kind].bend(Course(), params)
    except (KeyError, TypeError, ValueError) as error:
        raise broken_rule(f"fault {kind}: bad or missing parameter {error}") from error


def _check(kind: str, match: Any) -> None:
    if kind not in KINDS:
        raise broken_rule(f"unknown fault kind {kind!r}; known: {', '.join(sorted(KINDS))}")
    if not isinstance(match, dict) or not match.keys() <= MATCHES:
        raise broken_rule(f"match takes {', '.join(sorted(MATCHES))}")
    for pattern in (match.get("regex", ""), *match.get("query", {}).values()):
        try:
            re.compile(pattern)
        except re.error as error:
            raise broken_rule(f"bad pattern {pattern!r}: {error}") from error
