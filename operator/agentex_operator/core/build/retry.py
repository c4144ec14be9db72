"""When the attempt on record is over and the next one may start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentex_operator.core.build import records
from agentex_operator.core.protocol import create
from agentex_operator.core.remote import RemoteState

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.core.build.observed import Observed


def another_is_due(observed: Observed, now: datetime) -> bool:
    """Whether the attempt on record is over, and the next one may start."""
    gone = create.is_lost(observed, now) or observed.state is RemoteState.DELETED
    return gone or _rebuild_requested(observed) or _cancelled_before_a_change(observed) or may_retry(observed)


def may_retry(observed: Observed) -> bool:
    """Whether `retries` allows another attempt: after error or timed_out; a failed build is not retried."""
    state = observed.state
    timed_out_here = state is RemoteState.CANCELLED and observed.why_removed == "TimedOut"
    over = state in records.WORTH_ANOTHER_TRY or timed_out_here
    return over and observed.status.operator.retries_used < observed.spec.retries


def retries_used(observed: Observed) -> int:
    """How many retries the next attempt has used, itself included if it is one."""
    return observed.status.operator.retries_used + 1 if observed.is_current and may_retry(observed) else 0


def _rebuild_requested(observed: Observed) -> bool:
    handled = observed.status.last_handled_rebuild_requested_at
    return observed.meta.rebuild_requested_at not in (None, handled) and observed.ended


def _cancelled_before_a_change(observed: Observed) -> bool:
    """Whether `cancel: true` ended the build on record, and was taken back since."""
    by_request = observed.state is RemoteState.CANCELLED and observed.why_removed == "Requested"
    return by_request and not observed.spec.cancel
