"""Which Event a write of the status brings: one for each change of Ready, but for the steps of one operation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentex_operator.api.scalars import timestamp
from agentex_operator.core import conditions, reasons, steps
from agentex_operator.core.plan import Notice

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentex_operator.api.status import Condition
    from agentex_operator.core.reasons import Reason


@dataclass(frozen=True, slots=True)
class Readiness:
    """The condition Ready of a status; `stalled`: whether Stalled stands beside it.

    `since`: when its status last changed, as the API server stores it; not compared.
    """

    status: str | None
    reason: Reason
    message: str
    observed_generation: int | None
    stalled: bool = False
    since: str = field(default="", compare=False)


def readiness_of(stored: Iterable[Condition]) -> Readiness | None:
    """What these conditions say of Ready; None where they do not mention it."""
    found = {condition.type: condition for condition in stored}
    ready = found.get(conditions.READY)
    if ready is None:
        return None
    return Readiness(ready.status, reasons.stored(ready.reason), ready.message, ready.observed_generation,
                     conditions.STALLED in found, timestamp(ready.last_transition_time))


def event_of(before: Readiness | None, after: Readiness | None) -> Notice | None:
    """The Event to emit after a write, with the reason and message of Ready.

    None where neither changed its meaning, and from one step of an operation to the next: the Event of its start was
    emitted, and that of its end will be.
    """
    if after is None or (before is not None and _means_the_same(before, after)):
        return None
    warns = after.stalled or after.reason == reasons.INTERNAL_ERROR
    return Notice("Warning" if warns else "Normal", after.reason, after.message)


def _means_the_same(before: Readiness, after: Readiness) -> bool:
    if before.status != after.status:
        return False
    return before.reason == after.reason or (not after.stalled and {before.reason, after.reason} <= steps.STEPS)
