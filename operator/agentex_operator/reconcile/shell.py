"""The loop of a pass: ask `decide` for a call, make the call, give its outcome to `settle`, until no call is left.

This file decides nothing: every decision is in core.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from agentex_operator import logs
from agentex_operator.core.calls import Answer
from agentex_operator.core.errors import ExternalError
from agentex_operator.reconcile.bugs import CallRaisedError
from agentex_operator.reconcile.work_queue import Outcome

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.clock import Clock
    from agentex_operator.core.plan import Plan

log = logs.logger(__name__)

MOST_CALLS = 40  # in one pass; more is a bug in the rules

ObservedT = TypeVar("ObservedT")
CallT = TypeVar("CallT")
Perform = Callable[[CallT], Awaitable[Answer]]
LogCall = Callable[[object, object, float], None]  # called with a call, its outcome and its duration in seconds


class RulesNeverEndError(RuntimeError):
    """A pass made more calls than any walk has: a bug in the rules."""


class Decisions(Protocol[ObservedT, CallT]):
    """The core module of a kind."""

    def decide(self, observed: ObservedT, now: datetime, /) -> Plan[CallT]: ...  # noqa: D102 - see core
    def settle(self, observed: ObservedT, call: CallT, outcome: object, now: datetime, /) -> ObservedT: ...  # noqa: D102


def log_failure(call: object, outcome: object, _seconds: float) -> None:
    """Log a call that failed with an ExternalError, and no other."""
    if isinstance(outcome, ExternalError):
        log.info("call failed", call=type(call).__name__, error=type(outcome).__name__, message=outcome.message)


async def run_pass(
    core: Decisions[ObservedT, CallT], observed: ObservedT, perform: Perform[CallT], clock: Clock,
    log_call: LogCall = log_failure,
) -> tuple[ObservedT, Plan[CallT]]:
    """Run one pass to its end; the last observed state, and the plan that ended the pass."""
    for _ in range(MOST_CALLS):
        planned = core.decide(observed, clock.now())
        if planned.call is None:
            return observed, planned
        outcome = await attempt(perform, planned.call, clock, log_call)
        observed = core.settle(observed, planned.call, outcome, clock.now())
    raise RulesNeverEndError(f"{MOST_CALLS} calls in one pass, the last was {type(planned.call).__name__}")


async def attempt(perform: Perform[CallT], call: CallT, clock: Clock, log_call: LogCall = log_failure) -> object:
    """The outcome of a call, after it was logged; an ExternalError that an adapter raises is returned as a value.

    Raises CallRaisedError for any other exception.
    """
    began = clock.monotonic()
    try:
        outcome: object = (await perform(call)).outcome
    except ExternalError as error:
        outcome = error
    except Exception as error:  # the pass ends, as if the operator had crashed here; Workers report it
        raise CallRaisedError(type(call).__name__) from error
    log_call(call, outcome, clock.monotonic() - began)
    return outcome


def outcome_of(planned: Plan[object]) -> Outcome:
    """The outcome of a pass for the engine."""
    return Outcome(requeue_after=planned.look_again, failed=planned.failed)
