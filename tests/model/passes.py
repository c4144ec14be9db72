"""Passes of the production core over numbers: memory and outcome in, memory and the next call out; all remembered.

`decide` and `settle` are pure, so what they said once of equal values they need not be asked again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from typing import Any, NamedTuple

from tests.model.kinds import LOCAL, Kind, Object
from tests.model.values import NOW, Pool, older

from agentex_operator.core.plan import AccountProblem, UsableAccount

MOST_CALLS = 40


class Memory(NamedTuple):
    """A pass between two calls: what it has observed, and what it wants next."""

    observed: Any
    plan: Any


class RulesFailedError(AssertionError):
    """The rules raised, or never end: always a violation."""


class Passes:
    """The core of one kind, memoised."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.statuses: Pool[Any] = Pool()
        self.memories: Pool[Memory] = Pool()
        self._begun: dict[Hashable, int] = {}
        self._settled: dict[Hashable, int] = {}
        self._aged: dict[tuple[int, int], int] = {}
        self._aged_status: dict[int, int] = {}

    def begin(self, obj: Object, source: int, account: UsableAccount | AccountProblem) -> int:
        """The memory of a pass that begins with this view and this account."""
        key = obj, source, account
        found = self._begun.get(key)
        if found is None:
            observed = self.kind.begin(obj, self.statuses[obj.status], source)
            found = self._begun[key] = self._advance(dataclasses.replace(observed, account=account), source)
        return found

    def settle(self, memory: int, key: Hashable, outcome: Any, source: int) -> int:
        """The memory after the outcome of its call; `key` stands for the outcome."""
        found = self._settled.get((memory, key, source))
        if found is None:
            observed, plan = self.memories[memory]
            after = self._core(self.kind.core.settle, observed, plan.call, outcome, NOW)
            found = self._settled[memory, key, source] = self._advance(after, source)
        return found

    def older(self, memory: int, source: int) -> int:
        """The memory one tick later, decided anew."""
        key = memory, source
        if key not in self._aged:
            self._aged[key] = self._advance(older(self.memories[memory].observed), source)
        return self._aged[key]

    def older_status(self, status: int) -> int:
        """The status one tick later."""
        if status not in self._aged_status:
            self._aged_status[status] = self.statuses.number(older(self.statuses[status]))
        return self._aged_status[status]

    def _advance(self, observed: Any, source: int) -> int:
        """Decide, and answer at once what is no part of the protocol."""
        for _ in range(MOST_CALLS):
            observed = self.kind.plain(observed)
            plan = self._core(self.kind.core.decide, observed, NOW)
            if not isinstance(plan.call, LOCAL):
                return self.memories.number(Memory(observed, plan), (observed.account, self.kind.key(observed)))
            answer = self.kind.local(plan.call, source)
            observed = self._core(self.kind.core.settle, observed, plan.call, answer, NOW)
        raise RulesFailedError("a pass never ends")

    def _core(self, function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:
            raise RulesFailedError(f"the rules raised {error!r}") from error
