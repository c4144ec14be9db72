"""The status of an object whose pass raised an exception that nobody listed: it says so, and keeps what was known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentex_operator.api.status import Status
from agentex_operator.core import conditions, reasons
from agentex_operator.core.plan import Fact, Progress, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from agentex_operator.api.status import Condition


@dataclass(frozen=True, slots=True)
class InternalFailure:
    """A pass that raised. `reference`: the log has it too. `call`: the call that raised; None if none was under way."""

    reference: str
    call: str | None = None

    def message(self, *, deleting: bool) -> str:
        """What happened in general terms and what to do; without the text of the exception, which may hold a secret."""
        where = f"in the call {self.call}" if self.call else "in a pass over this resource"
        kept = "The deletion goes on from what is on record" if deleting else "What is on record is kept"
        return (f"The operator met an unexpected error {where} (reference {self.reference}). {kept}, and the operator "
                "tries again with growing delays. If this lasts, find the reference in the operator's log and report "
                "that entry as a bug.")


def status_of_failure(failure: InternalFailure, stored: Iterable[Condition], generation: int, now: datetime, *,
                      deleting: bool) -> Status:
    """The phase and conditions that report InternalError; every other member of the status is to be kept as it is."""
    stored = tuple(stored)
    verdict = Verdict(ready="False", reason=reasons.INTERNAL_ERROR, message=failure.message(deleting=deleting),
                      phase="Deleting" if deleting else "Retrying", progress=Progress.RECONCILING)
    facts = (_kept(one, verdict, generation) for one in stored if one.type not in conditions.OF_EVERY_KIND)
    return Status(observed_generation=generation, phase=verdict.phase,
                  conditions=conditions.render(stored, verdict, facts, generation, now))


def _kept(condition: Condition, verdict: Verdict, generation: int) -> Fact:
    """The condition as a fact; Unknown if it speaks of an earlier generation, of which nothing is known yet."""
    if condition.observed_generation == generation:
        return Fact(condition.type, condition.status, condition.reason, condition.message)
    return Fact(condition.type, "Unknown", verdict.reason, verdict.message)
