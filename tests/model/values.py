"""Time and values of the model: a clock that stands still, values that grow old instead, and numbers for values.

`NOW` never moves. A tick makes every moment in a state one tick older, until it is older than every duration in the
policy; from then on it stays. So equal situations are equal values, whenever they happen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Generic, TypeVar

from agentex_operator.api.status import Condition
from agentex_operator.core import conditions
from agentex_operator.core.plan import Policy, UsableAccount

TICK = timedelta(minutes=1)
HORIZON = 3                                       # ticks; no duration of the policy is longer
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ORIGIN = NOW - timedelta(days=365)                # of what happened before anything that matters
OLDEST, FAR = NOW - HORIZON * TICK, NOW + 60 * TICK
LONGEST_LIFE = 2                                  # ticks: T_max
POLICY = Policy(recreate_delay=TICK, longest_life=LONGEST_LIFE * TICK, missing_grace=TICK, expiry_grace=TICK,
                resync=2 * TICK, reference_resync=TICK, skew=timedelta(),
                longest_correction_delay=2 * TICK, undisturbed=HORIZON * TICK)
ACCOUNT = UsableAccount("AgentexAccount", "default", "acct-1", "https://api.example", timedelta(seconds=5))

ValueT = TypeVar("ValueT")


class Pool(Generic[ValueT]):
    """Each distinct value once, with a number; 0 is None."""

    def __init__(self) -> None:
        self.values: list[Any] = [None]
        self._numbers: dict[Hashable, int] = {None: 0}

    def number(self, value: ValueT, key: Hashable = None) -> int:
        """The value's number; `key` stands for a value that has no hash."""
        key = value if key is None else key
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self.values)
            self.values.append(value)
        return found

    def __getitem__(self, number: int) -> ValueT:
        return self.values[number]

    def __len__(self) -> int:
        return len(self.values)


# --- growing old ----------------------------------------------------------------------------------------------------


def older(value: Any) -> Any:
    """The value, one tick later."""
    if isinstance(value, datetime):
        return _older_moment(value)
    if isinstance(value, tuple):
        return tuple(older(one) for one in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type | UsableAccount | Policy):
        return _older_fields(value)
    return value


def _older_moment(moment: datetime) -> datetime:
    return moment if moment <= OLDEST or moment >= FAR else moment - TICK


def _older_fields(value: Any) -> Any:
    names = [field.name for field in dataclasses.fields(value)]
    changed = {name: after for name in names if (after := older(getattr(value, name))) != getattr(value, name)}
    return dataclasses.replace(value, **changed) if changed else value


def ticks(span: timedelta) -> int:
    """The span in whole ticks, rounded up."""
    return -(-span // TICK)


def age(moment: datetime | None) -> int:
    """How many ticks ago that was."""
    return 0 if moment is None else (NOW - moment) // TICK


# --- what is no matter of the protocol ------------------------------------------------------------------------------


@contextmanager
def plain_conditions() -> Iterator[None]:
    """While this lasts, the core's conditions are plain ones."""
    real = conditions.render
    conditions.render = plain_render
    try:
        yield
    finally:
        conditions.render = real


def plain_render(previous: Any, verdict: Any, facts: Any, generation: int, now: Any) -> tuple[Condition, ...]:
    """Stands in for core.conditions.render: without messages and transition times, which no rule reads back."""
    said = (conditions._ready(verdict), *conditions._abnormal(verdict), *facts)
    return tuple(_plain(fact.type, fact.status, fact.reason, generation) for fact in said)


@cache
def _plain(kind: str, status: Any, reason: str, generation: int) -> Condition:
    return Condition(type=kind, status=status, reason=reason, message="-", observed_generation=generation,
                     last_transition_time=ORIGIN)


def plain(status: Any, unread: tuple[str, ...]) -> Any:
    """A status without the moments that no rule compares within the model's time."""
    kept = _without_moments(status.operator, unread)
    status = status if kept is status.operator else dataclasses.replace(status, operator=kept)
    return _without_moments(status, unread)


def _without_moments(value: Any, unread: tuple[str, ...]) -> Any:
    changed = {name: OLDEST for name in unread if getattr(value, name, None) not in (None, OLDEST)}
    return dataclasses.replace(value, **changed) if changed else value
