"""What each error means for a resource: the one table from what happened to what to say and when to look again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from agentex_operator.core import errors, reasons

if TYPE_CHECKING:
    from datetime import timedelta


class Means(Enum):
    """Who must move next."""

    STALLED = "stalled"      # only another spec, source or referenced object helps
    WAITING = "waiting"      # something else must happen first; it wakes us, or we look slowly
    TRANSIENT = "transient"  # try again, with backoff


@dataclass(frozen=True, slots=True)
class Failure:
    """An error, classified. `retry_after`: the remote's own wish, if it had one."""

    means: Means
    reason: str
    message: str
    retry_after: timedelta | None = None

    @property
    def backs_off(self) -> bool:
        """Whether to wait longer each time; a remote that names the time to come back is taken at its word."""
        return self.means is Means.TRANSIENT and self.retry_after is None


def classify(error: errors.ExternalError) -> Failure:  # noqa: PLR0911 - a table, one line each
    """Decide what an error of an adapter means (house.md §2)."""
    match error:
        case errors.InvalidInput():
            return Failure(Means.STALLED, error.reason, error.message)
        case errors.Rejected():
            return Failure(Means.STALLED, reasons.REJECTED, error.message)
        case errors.NotReady():
            return Failure(Means.WAITING, error.reason, error.message)
        case errors.Unauthorized():
            return Failure(Means.WAITING, reasons.ACCESS_DENIED, error.message)
        case errors.Throttled():
            return Failure(Means.TRANSIENT, reasons.THROTTLED, error.message, error.retry_after)
        case errors.Conflict():
            return Failure(Means.TRANSIENT, reasons.CONFLICT, error.message)
        case _:
            return Failure(Means.TRANSIENT, reasons.REMOTE_UNAVAILABLE, error.message)
