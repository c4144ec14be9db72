"""Conditions: the one place that makes them, and the rules they keep (ecosystem.md §1.2, R3-R6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentex_operator.api.status import Condition
from agentex_operator.core import sentences
from agentex_operator.core.plan import Fact, Progress, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

READY, RECONCILING, STALLED = "Ready", "Reconciling", "Stalled"
OF_EVERY_KIND = frozenset({READY, RECONCILING, STALLED})
LONGEST_MESSAGE = 1024


def render(previous: Sequence[Condition], verdict: Verdict, facts: Iterable[Fact], generation: int,
           now: datetime) -> tuple[Condition, ...]:
    """Ready first, then Reconciling or Stalled, then the domain's; the time moves only when a status does."""
    then = {condition.type: condition for condition in previous}
    said = (_ready(verdict), *_abnormal(verdict), *facts)
    return tuple(_condition(fact, then.get(fact.type), generation, now) for fact in said)


def find(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """The condition of that type, or None."""
    return next((condition for condition in conditions if condition.type == kind), None)


def is_true(conditions: Iterable[Condition], kind: str) -> bool:
    """Whether the condition of that type is there and True."""
    found = find(conditions, kind)
    return found is not None and found.status == "True"


def _ready(verdict: Verdict) -> Fact:
    return Fact(READY, verdict.ready, verdict.reason, verdict.message)


def _abnormal(verdict: Verdict) -> tuple[Fact, ...]:
    kinds = {Progress.RECONCILING: (RECONCILING,), Progress.STALLED: (STALLED,)}.get(verdict.progress, ())
    return tuple(Fact(kind, "True", verdict.reason, verdict.message) for kind in kinds)


def _condition(fact: Fact, then: Condition | None, generation: int, now: datetime) -> Condition:
    unmoved = then is not None and then.status == fact.status
    return Condition(
        type=fact.type,
        status=fact.status,
        reason=fact.reason,
        message=_bounded(fact.message),
        observed_generation=generation,
        last_transition_time=then.last_transition_time if then and unmoved else now,
    )


def _bounded(message: str) -> str:
    whole = sentences.sentence(message)
    return whole if len(whole) <= LONGEST_MESSAGE else whole[: LONGEST_MESSAGE - 1] + "…"


def lint(conditions: Sequence[Condition], generation: int) -> list[str]:
    """Every way in which these conditions break the status contract; empty when they keep it.

    The linter that every lifecycle test calls (ecosystem.md R4, R5; Flux's `conditions/check` is its model).
    """
    kinds = [condition.type for condition in conditions]
    faults = [f"{kind} is there twice" for kind in sorted({k for k in kinds if kinds.count(k) > 1})]
    faults += ["Ready is not first"] if kinds[:1] != [READY] else []
    faults += ["Reconciling and Stalled are both there"] if {RECONCILING, STALLED} <= set(kinds) else []
    return faults + [fault for condition in conditions for fault in _faults(condition, generation)]


def _faults(condition: Condition, generation: int) -> Iterable[str]:
    kind = condition.type
    if condition.observed_generation != generation:
        yield f"{kind} speaks of generation {condition.observed_generation}, not {generation}"
    if kind in (RECONCILING, STALLED) and condition.status != "True":
        yield f"{kind} may only be True or absent"
    if not condition.reason.isalnum() or not condition.reason[:1].isupper():
        yield f"{kind} has a reason that is not CamelCase: {condition.reason!r}"
    if not condition.message or len(condition.message) > LONGEST_MESSAGE:
        yield f"{kind} has no message, or one that is too long"
    if not sentences.is_sentence(condition.message):
        yield f"{kind} has a message that does not end as a sentence: {condition.message!r}"
