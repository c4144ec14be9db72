"""How urgent the pass of an object is: what the work queue hands out first."""

from __future__ import annotations

from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING

from agentex_operator.core import conditions

if TYPE_CHECKING:
    from agentex_operator.reconcile.views import View

ROUTINE_DELAY = timedelta(minutes=1)  # a pass that was put off for so long, or longer, is no step of work in progress


class Urgency(IntEnum):
    """Why an object needs a pass; the lower number is handed out first."""

    NEWS = 0     # it is deleted, its remote object changed, or many objects depend on it
    CHANGED = 1  # it was edited, an object that it refers to changed, or work in progress is due
    NEW = 2      # it has no status yet
    ROUTINE = 3  # it is looked at again although no change is known


def of_event(event_type: str | None, view: View) -> Urgency:
    """The urgency of an object that the watch shows like this; `event_type` None: it was listed, and did not change."""
    if view.obj["metadata"].get("deletionTimestamp"):
        return Urgency.NEWS
    if not view.obj.get("status"):
        return Urgency.NEW
    return Urgency.ROUTINE if event_type is None and _rests(view.obj["status"]) else Urgency.CHANGED


def of_delay(delay: timedelta) -> Urgency:
    """The urgency of an object that is due after this delay."""
    return Urgency.ROUTINE if delay >= ROUTINE_DELAY else Urgency.CHANGED


def _rests(status: object) -> bool:
    stored = status.get("conditions") if isinstance(status, dict) else None
    return any(_is_true(one) for one in stored) if isinstance(stored, list) else False


def _is_true(condition: object) -> bool:
    """Whether the condition says that nothing is in progress (kstatus: Ready, or Stalled)."""
    return (isinstance(condition, dict) and condition.get("type") in (conditions.READY, conditions.STALLED)
            and condition.get("status") == "True")
