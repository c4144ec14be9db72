"""One pass as a conversation: which rule answers, what the status then says, and what a failed call means."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Never, TypeVar

from agentex_operator.api.status import status_as_dict
from agentex_operator.core import calls, conditions, grace, memory, reasons, steps
from agentex_operator.core.failures import Failure, FailureClass
from agentex_operator.core.plan import Fact, Plan, Progress, Verdict
from agentex_operator.core.protocol.observed import AnyObserved, Observed, ObservedT, StatusT

if TYPE_CHECKING:
    from agentex_operator.core.calls import SaveStatus
    from agentex_operator.core.remote import Record

CallT = TypeVar("CallT")
Rule = Callable[[ObservedT, datetime], Plan[CallT] | Verdict | None]


def first_answer(observed: ObservedT, rules: tuple[Rule[ObservedT, CallT], ...],
                 now: datetime) -> Plan[CallT] | Verdict:
    """The answer of the first rule that has one. Raises AssertionError if none has: a bug in the rules."""
    if observed.object_gone:
        return Plan(None, failed=observed.failure is not None)
    for rule in rules:
        answer = rule(observed, now)
        if answer is not None:
            return answer
    raise AssertionError(f"no rule answered for {observed.noun} {observed.meta.name}")


def report(observed: Observed[StatusT, Record], verdict: Verdict, facts: Iterable[Fact],
           now: datetime) -> Plan[SaveStatus[StatusT]]:
    """Write the verdict into the status; if the status says the same already, the pass is over (zero idle writes).

    A short step of an operation that goes well is not written (see `steps`).
    """
    status = with_verdict(observed, verdict, facts, now)
    look_again = verdict.look_again
    if not verdict.failed:  # after a failure look_again is the least wait, and the next look is soon by itself
        look_again = sooner(look_again, until_nothing_can_come(observed, now))
    if status != observed.stored and status_as_dict(status) != status_as_dict(observed.stored):
        wait = None if verdict.notices else steps.until_written(observed.stored, status, observed.follow, now)
        if wait is None:
            return Plan(calls.SaveStatus(status, verdict.notices))
        look_again = sooner(look_again, wait)
    return Plan(None, look_again=look_again, follow=verdict.follow, failed=verdict.failed)


def sooner(one: timedelta | None, other: timedelta | None) -> timedelta | None:
    """The shorter of two times until the next look; None stands for no wish."""
    return min((wait for wait in (one, other) if wait is not None), default=None)


def until_nothing_can_come(observed: AnyObserved, now: datetime) -> timedelta | None:
    """P9: the time until an open create can take effect no more; None without one, or after that."""
    free_at = memory.nothing_can_come_at(memory.from_status(observed.status), observed.policy)
    return free_at - now if free_at is not None and now < free_at else None


def with_verdict(observed: Observed[StatusT, Record], verdict: Verdict, facts: Iterable[Fact],
                 now: datetime) -> StatusT:
    """The status with the verdict's phase, the conditions and observedGeneration (ecosystem.md R2).

    `facts` are the conditions of the domain, in their fixed order.
    """
    generation = observed.meta.generation
    return replace(
        observed.status.handling_reconcile(observed.meta),
        observed_generation=generation,
        phase=verdict.phase,
        conditions=conditions.render(observed.stored.conditions, verdict, facts, generation, now),
    )


def is_ready_now(observed: AnyObserved) -> bool:
    """Whether the stored status says Ready=True of the present generation."""
    ready = conditions.find(observed.stored.conditions, conditions.READY)
    return ready is not None and ready.status == "True" and ready.observed_generation == observed.meta.generation


def reconcile_requested(observed: AnyObserved) -> bool:
    """Whether the user requested a reconcile that the status does not acknowledge yet (ecosystem.md R12)."""
    return not observed.stored.has_handled_reconcile(observed.meta)


def stop_at_failure(observed: AnyObserved, _now: datetime) -> Plan[Never] | Verdict | None:
    """Report a failed call. A temporary failure of a resource that is Ready is not reported: the account tells it.

    The time when a create's answer was lost is always written, even if the resource is Ready.
    """
    failure = observed.failure
    if failure is None:
        return None
    answered = observed.status.operator.pending_create is None
    quiet = not observed.meta.deleting and answered and is_ready_now(observed)
    if failure.failure_class is FailureClass.TRANSIENT and quiet:
        return Plan(None, look_again=failure.retry_after, follow=observed.follow, failed=failure.backs_off)
    return failed(observed, failure)


def failed(observed: AnyObserved, failure: Failure) -> Verdict:
    """The verdict on a failure (house.md §2, the table)."""
    stored, policy, now = observed.stored.conditions, observed.policy, observed.started_at
    verdict = Verdict(ready="False", reason=failure.reason, message=failure.message, phase="Failed",
                      progress=Progress.STALLED, follow=observed.follow,
                      look_again=grace.next_look(failure, stored, policy, now, observed.references_poll))
    if grace.stalls(failure, stored, observed.meta.generation, policy, now):
        return verdict
    if failure.failure_class is not FailureClass.TRANSIENT:
        return replace(verdict, phase="Pending", progress=Progress.RECONCILING)
    return replace(verdict, phase="Retrying", progress=Progress.RECONCILING, failed=failure.backs_off,
                   look_again=failure.retry_after)


def suspended(observed: AnyObserved, message: str) -> Verdict:
    """A suspended resource reports Ready=True, unless it had failed by itself before (ecosystem.md R13)."""
    verdict = Verdict(ready="True", reason=reasons.SUSPENDED, phase="Suspended", follow=observed.follow,
                      message=message)
    stalled = grace.lasting_stall(observed.stored.conditions)
    if stalled is None:
        return verdict
    return replace(verdict, ready="False", reason=reasons.stored(stalled.reason), message=stalled.message,
                   progress=Progress.STALLED)
