"""`onExternalChange: Correct`: when a deployment that somebody else replaced or deleted is deployed again.

Two writers that both correct would replace each other for ever. So the delay doubles with each correction in a row, up
to `policy.longest_correction_delay`. The first delay is used again after `policy.undisturbed` without a correction, and
for another generation of the spec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentex_operator.api.operator_memory import Corrections
from agentex_operator.core.deployment import records
from agentex_operator.core.ownership import deployment_owner
from agentex_operator.core.protocol import create
from agentex_operator.core.remote import RemoteState

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from agentex_operator.core.deployment.observed import Observed

_MOST_DOUBLINGS = 16  # keeps the delay within what a timedelta holds, whatever the status says


def ended_by_somebody_else(observed: Observed, now: datetime) -> RemoteState | None:
    """The state in which somebody else left the deployment of the wanted configuration; None if nobody ended it."""
    if not observed.is_current or observed.extension_requested or observed.status.deployment_id is None:
        return None
    state = RemoteState.DELETED if create.is_lost(observed, now) else observed.state
    return state if state in records.DEAD and not _superseded_by_late_create(observed) else None


def _superseded_by_late_create(observed: Observed) -> bool:
    """Whether an earlier create of ours, given up long ago, took effect late and took the release."""
    if observed.state is not RemoteState.SUPERSEDED:
        return False
    return any(observed.alive(one) and one.token is not None and deployment_owner(one.token) == observed.owner
               for one in observed.seen.records)


def is_recurring(observed: Observed) -> bool:
    """Whether the deployment of this generation was corrected before."""
    return _count(observed) > 0


def due_at(observed: Observed) -> datetime | None:
    """The earliest moment to deploy again; None where it is not known when the last create was."""
    since = observed.status.operator.progressing_since
    return since + _delay(observed, _count(observed)) if since else None


def counted(observed: Observed, now: datetime) -> Corrections | None:
    """`status.operator.corrections` after the intent of the next create."""
    if observed.spec.on_external_change != "Correct" or ended_by_somebody_else(observed, now) is None:
        return observed.status.operator.corrections
    return Corrections(count=_next_count(observed, now), generation=observed.meta.generation)


def _next_count(observed: Observed, now: datetime) -> int:
    since, count = observed.status.operator.progressing_since, _count(observed)
    if since is None or now >= since + observed.policy.undisturbed:
        return 1
    return count + 1 if _delay(observed, count) < _longest_delay(observed) else count


def _count(observed: Observed) -> int:
    """How many corrections in a row this generation has seen."""
    known = observed.status.operator.corrections
    return known.count if known is not None and known.generation == observed.meta.generation else 0


def _delay(observed: Observed, count: int) -> timedelta:
    """The least time from the last create to the correction that follows so many in a row."""
    doublings = min(max(count - 1, 0), _MOST_DOUBLINGS)
    grown: timedelta = observed.policy.reference_resync * 2**doublings
    return min(grown, _longest_delay(observed))


def _longest_delay(observed: Observed) -> timedelta:
    return max(observed.policy.reference_resync, observed.policy.longest_correction_delay)
