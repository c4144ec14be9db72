"""The status of an object whose pass raised an exception that nobody listed: it says so, and keeps what was known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentex_operator.core import failed_pass, reasons
from agentex_operator.core.plan import Progress, Verdict

if TYPE_CHECKING:
    from agentex_operator.api.status import Status
    from agentex_operator.core.failed_pass import FailedPass


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


def status_of_failure(failure: InternalFailure, failed: FailedPass) -> Status:
    """The phase and conditions that report InternalError; every other member of the status is to be kept as it is."""
    verdict = Verdict(ready="False", reason=reasons.INTERNAL_ERROR, message=failure.message(deleting=failed.deleting),
                      phase="Deleting" if failed.deleting else "Retrying", progress=Progress.RECONCILING)
    return failed_pass.status_with(verdict, failed)
