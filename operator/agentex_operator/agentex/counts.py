"""How many records of an account are in which state, counted while listings are read."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Generic

from agentex_operator.core.remote import Record, RemoteState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from agentex_operator.agentex.record_kind import RecordKind

Counted = tuple[RemoteState, tuple[str, ...]]  # the state of a record, and its groups


@dataclass(frozen=True, slots=True)
class RecordCounts:
    """The number of records in each state, and in each group of the kind (such as previews that are alive)."""

    states: Mapping[RemoteState, int] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)

    def of(self, *states: RemoteState) -> int:
        """The number of records in any of these states."""
        return sum(self.states.get(state, 0) for state in states)

    def in_group(self, group: str) -> int:
        """The number of records in this group."""
        return self.groups.get(group, 0)


@dataclass(slots=True)
class Tally(Generic[Record]):
    """The records of one listing as they are counted, and the agents that they prove to exist (ids by name).

    `counted`: for each record the time of its creation (seconds since the epoch) and what it counts as.
    """

    kind: RecordKind[Record]
    counted: list[tuple[float, Counted]] = field(default_factory=list)
    agents: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """The number of records counted so far."""
        return len(self.counted)

    def add(self, records: Iterable[Record]) -> None:
        """Count these records."""
        for record in records:
            counted = record.state, tuple(self.kind.groups_of(record))
            self.counted.append((record.created_at.timestamp(), counted))
            if agent := self.kind.agent_of(record):
                self.agents.setdefault(agent.name, agent.id)


class CountsOfAccount:
    """The counts over all listings: each listing replaces what was counted since the moment that it goes back to.

    What is older stays as an earlier listing counted it: a listing goes back to the oldest record in flight.
    `counts`: those of all records; None before the first listing.
    """

    def __init__(self) -> None:
        self.counts: RecordCounts | None = None
        self._times = array("d")            # of the creation of each record, oldest first
        self._counted: list[Counted] = []   # as `_times`; equal values are shared
        self._shared: dict[Counted, Counted] = {}
        self._numbers: Counter[Counted] = Counter()

    def apply_listing(self, back_to: datetime | None, tally: Tally[Record]) -> None:
        """Count the records of a listing anew. `back_to`: since when it shows all records; None: from the first on."""
        bound = -math.inf if back_to is None else back_to.timestamp()
        first = bisect_left(self._times, bound)
        self._numbers.subtract(self._counted[first:])
        del self._times[first:], self._counted[first:]
        for created_at, counted in sorted(tally.counted, key=itemgetter(0)):
            if created_at >= bound:
                self._times.append(created_at)
                self._counted.append(self._shared.setdefault(counted, counted))
        self._numbers.update(self._counted[first:])
        self.counts = self._summed()

    def _summed(self) -> RecordCounts:
        states, groups = Counter[RemoteState](), Counter[str]()
        for (state, its_groups), number in self._numbers.items():
            states[state] += number
            groups.update(dict.fromkeys(its_groups, number))
        return RecordCounts(states, groups)
