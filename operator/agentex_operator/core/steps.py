"""The steps of an operation that goes well, and when one of them is worth a write of the status."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from agentex_operator.api.status import RemoteStatus
from agentex_operator.core import conditions, reasons

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.api.status import Condition

StatusT = TypeVar("StatusT", bound=RemoteStatus)

STEPS: Final = frozenset({reasons.QUEUED, reasons.BUILDING, reasons.DEPLOYING})
POLLS: Final = 2  # so many polls after its start, an operation that still goes on shows its present step


def until_written(stored: StatusT, status: StatusT, poll: timedelta, now: datetime) -> timedelta | None:
    """How long the write of `status` over `stored` can wait; None if it is due now.

    Only a step can wait, such as from Queued to Building: for two polls from the start of the operation, so that a
    short operation costs the write of its end alone. A start that is ahead of our clock proves nothing: no wait.
    """
    began = conditions.find(stored.conditions, conditions.RECONCILING)
    if began is None or not _is_a_step(began) or not _differ_by_a_step(stored, status):
        return None
    age = now - began.last_transition_time
    return POLLS * poll - age if timedelta() <= age < POLLS * poll else None


def _differ_by_a_step(stored: RemoteStatus, status: RemoteStatus) -> bool:
    return _without_step(stored) == _without_step(status)


def _without_step(status: StatusT) -> StatusT:
    said = tuple(_without_reason(one) if _is_a_step(one) else one for one in status.conditions)
    return replace(status.without_progress(), conditions=said)


def _is_a_step(condition: Condition) -> bool:
    return condition.type in (conditions.READY, conditions.RECONCILING) and condition.reason in STEPS


def _without_reason(condition: Condition) -> Condition:
    return replace(condition, reason=reasons.PROGRESSING, message="")
