"""How many records of an account are in which state, counted while a listing is read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic

from agentex_operator.core.remote import Record, RemoteState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentex_operator.agentex.record_kind import RecordKind


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
    """The counts of one listing as it is read, and the agents that its records prove to exist (ids by name)."""

    kind: RecordKind[Record]
    states: Counter[RemoteState] = field(default_factory=Counter)
    groups: Counter[str] = field(default_factory=Counter)
    agents: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """The number of records counted so far."""
        return self.states.total()

    @property
    def counts(self) -> RecordCounts:
        """The counts so far, as a value."""
        return RecordCounts(dict(self.states), dict(self.groups))

    def add(self, records: Iterable[Record]) -> None:
        """Count these records."""
        for record in records:
            self.states[record.state] += 1
            self.groups.update(self.kind.groups_of(record))
            if agent := self.kind.agent_of(record):
                self.agents.setdefault(agent.name, agent.id)
