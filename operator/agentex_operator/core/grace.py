"""When a resource that cannot go on is Stalled: at once, or after a grace where what it needs may still be created.

GitOps engines apply an object and what it names in one commit, in any order: what is missing is Reconciling at first.
Later nobody creates it, and Stalled says that a person has to. Both recover by themselves: the looks go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentex_operator.core import conditions, memory
from agentex_operator.core.failures import MENDED_OUTSIDE, FailureClass

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from agentex_operator.api.status import Condition
    from agentex_operator.core.failures import Failure
    from agentex_operator.core.plan import Policy


def stalls(failure: Failure, stored: Sequence[Condition], generation: int, policy: Policy, now: datetime) -> bool:
    """Whether a resource with this failure is Stalled now; `stored`: its conditions as the API server has them."""
    if failure.failure_class is FailureClass.MISSING:
        return _stalled_before(failure, stored, generation) or now >= _grace_ends(failure, stored, policy, now)
    return failure.failure_class in (FailureClass.STALLED, FailureClass.BLOCKED)


def next_look(failure: Failure, stored: Sequence[Condition], policy: Policy, now: datetime,
              references_poll: timedelta | None = None) -> timedelta:
    """The time to the next look: the slow resync, or earlier where a grace ends before.

    `references_poll`: how soon what the resource names must be read again, if not after `policy.reference_resync`.
    """
    poll = references_poll if references_poll and failure.is_of_references else policy.reference_resync
    rest = memory.until(_grace_ends(failure, stored, policy, now), now)
    is_in_grace = failure.failure_class is FailureClass.MISSING and rest
    return min(rest, poll) if is_in_grace else poll


def lasting_stall(stored: Sequence[Condition]) -> Condition | None:
    """The stored condition Stalled, if its cause is in the resource itself; None if another object is the cause."""
    stalled = conditions.find(stored, conditions.STALLED)
    return None if stalled is None or stalled.reason in MENDED_OUTSIDE else stalled


def _stalled_before(failure: Failure, stored: Sequence[Condition], generation: int) -> bool:
    """Whether the grace of the same trouble has ended before; another generation of the spec has a grace of its own."""
    stalled = conditions.find(stored, conditions.STALLED)
    return stalled is not None and (stalled.reason, stalled.observed_generation) == (failure.reason, generation)


def _grace_ends(failure: Failure, stored: Sequence[Condition], policy: Policy, now: datetime) -> datetime:
    """When the missing object counts as missing for good: `reference_grace` after the resource began to wait."""
    waiting = conditions.find(stored, conditions.RECONCILING)
    began = waiting.last_transition_time if waiting is not None and waiting.reason == failure.reason else now
    return began + policy.reference_grace
