"""Breadth-first search over states, and the graph of what happens by itself: where it ends must be the goal.

A state is packed into a few numbers, which is its identity (exact, not a hash). Of two replicas the order is no matter.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.model import invariants
from tests.model.environment import Model
from tests.model.passes import RulesFailedError
from tests.model.states import Edge, State

NOBODY = 0xFFFFFFFF
WRITES = 1 << 31


@dataclass(frozen=True)
class Counterexample:
    """What is violated, and the choices that lead there from the initial state."""

    violation: str
    path: tuple[int, ...]

    @property
    def invariant(self) -> str | None:
        """The number of what is violated; None where the rules raised, which says nothing of the protocol."""
        found = re.match(r"(?:for ever: )?([IP]\d+): ", self.violation)
        return found and found[1]


@dataclass
class Result:
    """What a search found."""

    states: int
    transitions: int
    depth: int
    complete: bool
    counterexample: Counterexample | None = None

    @property
    def clean(self) -> bool:
        """Whether everything was looked at, and nothing is wrong."""
        return self.complete and self.counterexample is None


@dataclass
class Graph:
    """The states found, by number; for each, how it was reached, and the steps from it that happen by themselves."""

    parents: array[int] = field(default_factory=lambda: array("I"))
    choices: array[int] = field(default_factory=lambda: array("H"))
    starts: array[int] = field(default_factory=lambda: array("Q", [0]))
    targets: array[int] = field(default_factory=lambda: array("I"))
    misses: dict[int, str] = field(default_factory=dict)
    missed: array[int] = field(default_factory=lambda: array("B"))
    words: list[str | None] = field(default_factory=lambda: [None])

    def successors(self, node: int) -> range:
        """Where in `targets` the steps of a state are."""
        return range(self.starts[node], self.starts[node + 1])

    def path(self, node: int) -> tuple[int, ...]:
        """The choices from the initial state to that one."""
        choices: list[int] = []
        while self.parents[node] != NOBODY:
            choices.append(self.choices[node])
            node = self.parents[node]
        return tuple(reversed(choices))

    def note(self, why: str | None) -> None:
        """Whether the next state is the goal, and if not, why."""
        if why not in self.words:
            self.words.append(why)
        self.missed.append(min(self.words.index(why), 255))


class Search:
    """One search of a model."""

    def __init__(self, model: Model, most: int | None = None) -> None:
        self.model, self.most = model, most
        self.graph = Graph()
        self.numbers: dict[bytes, int] = {}
        self._versions: dict[Any, int] = {}
        self._parts: dict[Any, int] = {}
        self.transitions = self.depth = 0
        self._frontier: deque[State] = deque()
        self._left_at = array("H")

    def run(self) -> Result:
        """Search until a violation, the end, or the most states allowed."""
        self._meet(self.model.initial, NOBODY, 0)
        node = 0
        while self._frontier:
            if self.most is not None and len(self.numbers) >= self.most:
                return self._result(None, complete=False)
            if (found := self._expand(node, self._frontier.popleft())) is not None:
                return self._result(found, complete=False)
            node += 1
        return self._result(self._stuck(), complete=True)

    def _result(self, found: Counterexample | None, *, complete: bool) -> Result:
        depth = max(self._left_at, default=0)
        return Result(len(self.numbers), self.transitions, depth, complete, found)

    def _expand(self, node: int, state: State) -> Counterexample | None:
        """Take every step from one state."""
        graph = self.graph
        try:
            edges = list(self.model.successors(state))
        except RulesFailedError as error:
            return Counterexample(str(error), graph.path(node))
        for choice, edge in enumerate(edges):
            if edge.violation is not None:
                return Counterexample(edge.violation, (*graph.path(node), choice))
            target = self._meet(edge.state, node, choice)
            if edge.system and target != node:
                graph.targets.append(target | WRITES if edge.writes else target)
        self.transitions += len(edges)
        graph.starts.append(len(graph.targets))
        graph.note(invariants.missed(self.model, state))
        return None

    def _meet(self, state: State, parent: int, choice: int) -> int:
        """The state's number; a new one is queued."""
        packed = self.pack(state)
        found = self.numbers.get(packed)
        if found is None:
            found = self.numbers[packed] = len(self.numbers)
            self.graph.parents.append(parent)
            self.graph.choices.append(choice)
            self._left_at.append(0 if parent == NOBODY else self._left_at[parent] + 1)
            self._frontier.append(state)
        return found

    def pack(self, state: State) -> bytes:
        """The state as bytes."""
        number = self._number
        replicas = sorted(map(number, state.replicas))
        return struct.pack(f"<{6 + len(replicas)}I", number(state.versions), number(state.remote),
                           number(state.flights), number((state.left,)), state.source, state.account, *replicas)

    def _number(self, part: Any) -> int:
        found = self._parts.get(part)
        if found is None:
            found = self._parts[part] = len(self._parts)
        return found

    # -- where it all ends ---------------------------------------------------------------------------------------

    def _stuck(self) -> Counterexample | None:
        """I11, I20, I21: in every set of states that is never left by itself, the goal holds and nothing is written."""
        graph = self.graph
        bottom = Bottom(graph)
        found = [one for members in bottom.components() if (one := self._wrong(members)) is not None]
        return min(found, key=lambda one: len(one.path), default=None)

    def _wrong(self, members: list[int]) -> Counterexample | None:
        graph = self.graph
        first = min(members)
        for node in members:
            if graph.missed[node]:
                return Counterexample(f"for ever: {graph.words[graph.missed[node]]}", graph.path(node))
            if any(graph.targets[at] & WRITES for at in graph.successors(node)):
                return Counterexample("I11: calls that change something, for ever", graph.path(first))
        return None


class Bottom:
    """Tarjan's strongly connected components, iterative; only those without a way out."""

    def __init__(self, graph: Graph) -> None:
        size = len(graph.parents)
        self._graph = graph
        self._order = array("I", bytes(4 * size))   # 0: not visited
        self._low = array("I", bytes(4 * size))
        self._done = bytearray(size)
        self._next = array("Q", graph.starts[:size])
        self._stack: list[int] = []
        self._count = 0

    def components(self) -> Iterator[list[int]]:
        """The sets of states that are never left again."""
        for root in range(len(self._order)):
            if not self._order[root]:
                yield from self._visit(root)

    def _visit(self, root: int) -> Iterator[list[int]]:
        calls = [root]
        self._enter(root)
        while calls:
            node = calls[-1]
            if (child := self._next_child(node)) is not None:
                self._enter(child)
                calls.append(child)
                continue
            calls.pop()
            if calls:
                self._low[calls[-1]] = min(self._low[calls[-1]], self._low[node])
            if self._low[node] == self._order[node]:
                members = self._take(node)
                if self._is_bottom(members):
                    yield members

    def _enter(self, node: int) -> None:
        self._count += 1
        self._order[node] = self._low[node] = self._count
        self._stack.append(node)

    def _next_child(self, node: int) -> int | None:
        graph, end = self._graph, self._graph.starts[node + 1]
        while self._next[node] < end:
            child = graph.targets[self._next[node]] & ~WRITES
            self._next[node] += 1
            if not self._order[child]:
                return child
            if not self._done[child]:
                self._low[node] = min(self._low[node], self._order[child])
        return None

    def _take(self, node: int) -> list[int]:
        members = []
        while True:
            one = self._stack.pop()
            self._done[one] = 1
            members.append(one)
            if one == node:
                return members

    def _is_bottom(self, members: list[int]) -> bool:
        inside = set(members)
        return all(self._graph.targets[at] & ~WRITES in inside
                   for node in members for at in self._graph.successors(node))


# --- reading a counterexample ---------------------------------------------------------------------------------------


def replay(model: Model, path: tuple[int, ...]) -> Iterator[tuple[State, Edge]]:
    """The steps along a path, as the search took them."""
    state = model.initial
    for choice in path:
        edge = list(model.successors(state))[choice]
        yield state, edge
        state = edge.state
