"""Objects that the API server accepted and our models refuse (an older CRD, for example): what their status says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentex_operator.api.status import Status
from agentex_operator.core import conditions, reasons, transitions
from agentex_operator.core.plan import Progress, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from agentex_operator.api.metadata import Meta
    from agentex_operator.core.transitions import Readiness


@dataclass(frozen=True, slots=True)
class InvalidObject:
    """Why an object is no valid resource, and what to do about it."""

    message: str


def invalid_object(path: Iterable[str | int], problem: str) -> InvalidObject:
    """The finding about one member of the object; `problem` is what the model says of it."""
    member = ".".join(str(part) for part in path) or "the object"
    return InvalidObject(f"{member}: {problem}. Correct it, or update the CRDs to this operator's version.")


def status_of_invalid(found: InvalidObject, meta: Meta, stored: Readiness | None, now: datetime) -> Status | None:
    """The status that reports InvalidSpec; None where the stored one reports the same of this generation."""
    said = conditions.render((), _verdict(found, meta), (), meta.generation, now)
    if _same(stored, transitions.readiness_of(said)):
        return None
    return Status(observed_generation=meta.generation, phase="Failed", conditions=said)


def _verdict(found: InvalidObject, meta: Meta) -> Verdict:
    """Nothing remote is touched, not even for a deletion: without a valid spec nobody knows what is ours."""
    message = f"{found.message} Its deletion waits for that." if meta.deleting else found.message
    return Verdict(ready="False", reason=reasons.INVALID_SPEC, message=message, phase="Failed",
                   progress=Progress.STALLED)


def _same(stored: Readiness | None, new: Readiness | None) -> bool:
    if stored is None or new is None:
        return False
    return (stored.reason, stored.message, stored.observed_generation) == (new.reason, new.message,
                                                                            new.observed_generation)
