"""What each error means for a resource: the one table from what happened to what to say and when to look again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from agentex_operator.core import errors, reasons

if TYPE_CHECKING:
    from datetime import timedelta

    from agentex_operator.core.reasons import Reason


class FailureClass(Enum):
    """What must happen before another try can succeed."""

    STALLED = "stalled"      # only another spec, source or referenced object helps
    BLOCKED = "blocked"      # a person must mend another object or a right; a slow look finds that it is mended
    MISSING = "missing"      # another object is not there; it may be about to be created, or a person must create it
    WAITING = "waiting"      # something else must happen first; its event wakes us, or a slow look finds it
    TRANSIENT = "transient"  # try again, with backoff


@dataclass(frozen=True, slots=True)
class Failure:
    """An error, classified. `retry_after`: the delay that the remote asked for, if any."""

    failure_class: FailureClass
    reason: Reason
    message: str
    retry_after: timedelta | None = None

    @property
    def backs_off(self) -> bool:
        """Whether the engine waits longer each time; if the remote names the time to come back, that time is used."""
        return self.failure_class is FailureClass.TRANSIENT and self.retry_after is None

    @property
    def is_of_references(self) -> bool:
        """Whether only another spec, or another ConfigMap or Secret that the spec names, helps."""
        return self.failure_class is FailureClass.STALLED or self.reason in REFERENCE_REASONS


BLOCKED_REASONS = frozenset({
    reasons.ACCESS_DENIED, reasons.ACCOUNT_CHANGED, reasons.ACCOUNT_NOT_ALLOWED, reasons.CLUSTER_NOT_IDENTIFIED,
    reasons.ADOPTION_TARGET_HELD, reasons.CRD_OUTDATED, reasons.KEY_NOT_FOUND, reasons.SECRET_INVALID,
    reasons.SOURCE_UNAUTHORIZED,
})
MISSING_REASONS = frozenset({
    reasons.ACCOUNT_DELETING, reasons.ACCOUNT_NOT_FOUND, reasons.BUILD_NOT_FOUND, reasons.CONFIG_MAP_NOT_FOUND,
    reasons.CRD_MISSING, reasons.SECRET_NOT_FOUND, reasons.SOURCE_NOT_FOUND,
})
REFERENCE_REASONS = frozenset({reasons.CONFIG_MAP_NOT_FOUND, reasons.KEY_NOT_FOUND})
MENDED_OUTSIDE = BLOCKED_REASONS | MISSING_REASONS | {reasons.ACCOUNT_NOT_READY, reasons.BUILD_NOT_READY}


def not_ready(reason: Reason, message: str) -> Failure:
    """The failure of a resource that needs something which is not ready; the reason decides on its class."""
    if reason in BLOCKED_REASONS:
        return Failure(FailureClass.BLOCKED, reason, message)
    return Failure(FailureClass.MISSING if reason in MISSING_REASONS else FailureClass.WAITING, reason, message)


def classify(error: errors.ExternalError) -> Failure:  # noqa: PLR0911 - a table, one line each
    """Decide what an error of an adapter means (house.md §2)."""
    match error:
        case errors.InvalidInput():
            return Failure(FailureClass.STALLED, error.reason, error.message)
        case errors.Rejected():
            return Failure(FailureClass.STALLED, reasons.REJECTED, error.message)
        case errors.NotReady():
            return not_ready(error.reason, error.message)
        case errors.Unauthorized():
            return not_ready(reasons.ACCESS_DENIED, error.message)
        case errors.Throttled():
            return Failure(FailureClass.TRANSIENT, reasons.THROTTLED, error.message, error.retry_after)
        case errors.Undone():
            return Failure(FailureClass.TRANSIENT, reasons.WRITE_UNDONE, error.message, error.retry_after)
        case errors.Conflict():
            return Failure(FailureClass.TRANSIENT, reasons.CONFLICT, error.message)
        case _:
            return Failure(FailureClass.TRANSIENT, reasons.REMOTE_UNAVAILABLE, error.message)
