"""The status of an object whose pass did not come to a verdict: it says why, and keeps what was known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentex_operator.api.status import Status
from agentex_operator.core import conditions, failures, reasons
from agentex_operator.core.failures import FailureClass
from agentex_operator.core.plan import Fact, Progress, Verdict

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.api.status import Condition
    from agentex_operator.core.errors import ExternalError


@dataclass(frozen=True, slots=True)
class FailedPass:
    """What is known of an object whose pass failed: its stored conditions that can be read, and its metadata."""

    stored: tuple[Condition, ...]
    generation: int
    now: datetime
    deleting: bool

    @property
    def is_ready(self) -> bool:
        """Whether the stored conditions say Ready=True of the present generation."""
        ready = conditions.find(self.stored, conditions.READY)
        return ready is not None and (ready.status, ready.observed_generation) == ("True", self.generation)


def status_with(verdict: Verdict, failed: FailedPass) -> Status:
    """The phase and conditions of the verdict; every other member of the status is to be kept as it is."""
    facts = (_kept(one, verdict, failed.generation) for one in failed.stored
             if one.type not in conditions.OF_EVERY_KIND)
    return Status(observed_generation=failed.generation, phase=verdict.phase,
                  conditions=conditions.render(failed.stored, verdict, facts, failed.generation, failed.now))


def status_of_not_begun(error: ExternalError, failed: FailedPass) -> Status | None:
    """The status that reports why a pass could not begin; None where a temporary error leaves the object Ready."""
    failure = failures.classify(error)
    temporary = failure.failure_class is FailureClass.TRANSIENT
    if temporary and failed.is_ready and not failed.deleting:
        return None
    phase = "Deleting" if failed.deleting else "Retrying" if temporary else "Failed"
    blocked = failure.failure_class in (FailureClass.BLOCKED, FailureClass.STALLED)
    return status_with(Verdict(ready="False", reason=failure.reason, message=failure.message, phase=phase,
                               progress=Progress.STALLED if blocked else Progress.RECONCILING), failed)


def _kept(condition: Condition, verdict: Verdict, generation: int) -> Fact:
    """The condition as a fact; Unknown if it speaks of an earlier generation, of which nothing is known yet."""
    if condition.observed_generation == generation:
        return Fact(condition.type, condition.status, reasons.stored(condition.reason), condition.message)
    return Fact(condition.type, "Unknown", verdict.reason, verdict.message)
