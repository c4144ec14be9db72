"""The rules up to the POST: finalizer, account, listing, confirmation, the wait for an open create."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Never

from agentex_operator.api.metadata import FINALIZER
from agentex_operator.core import calls, failures, grace, memory, reasons
from agentex_operator.core.failures import Failure, FailureClass
from agentex_operator.core.plan import Plan, Progress, UsableAccount, Verdict
from agentex_operator.core.protocol import conversation

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.core.calls import AddFinalizer, Confirm, LookForOurs
    from agentex_operator.core.protocol.observed import AnyObserved, Observed, StatusT
    from agentex_operator.core.remote import Record


def add_finalizer(observed: AnyObserved, _now: datetime) -> Plan[AddFinalizer] | None:
    """P1: the finalizer comes before anything remote."""
    return None if FINALIZER in observed.meta.finalizers else Plan(calls.AddFinalizer())


def wait_for_the_account(observed: AnyObserved, _now: datetime) -> Plan[Never] | Verdict | None:
    """Without an account no call is possible. After a restart the account may not have been reconciled yet."""
    problem = observed.account
    if isinstance(problem, UsableAccount):
        return None
    if problem.temporary:
        return Plan(None)
    if problem.stalled:
        return conversation.failed(observed, Failure(FailureClass.BLOCKED, problem.reason, problem.message))
    return conversation.failed(observed, failures.not_ready(problem.reason, problem.message))


def look_for_ours(observed: Observed[StatusT, Record], now: datetime) -> Plan[LookForOurs[Record]] | None:
    """P4, P7: list our records, fresh enough to rule on an open create, or on what was taken over in this pass."""
    if creating(observed):
        return None
    remembered = memory.from_status(observed.status)
    since = memory.look_not_before(remembered, now, observed.policy)
    if remembered.empty:
        since = observed.meta.creation_timestamp
    has_to_be_new = conversation.reconcile_requested(observed) or observed.candidate is not None
    return look(observed, observed.started_at if has_to_be_new else since)


def creating(observed: AnyObserved) -> bool:
    """Whether the intent of a create was just written: no call may come between it and the POST."""
    return (observed.last_write_purpose or "").startswith("create")


def look(observed: Observed[StatusT, Record], fresh_since: datetime | None) -> Plan[LookForOurs[Record]] | None:
    """Request a listing, unless the one in hand is fresh enough."""
    listed = observed.listed_since
    if observed.seen.listing is not None and (fresh_since is None or (listed is not None and listed >= fresh_since)):
        return None
    back_to = observed.oldest - observed.policy.skew
    return Plan(calls.LookForOurs(observed.owner, observed.ids, back_to, observed.follow, fresh_since,
                                  observed.fingerprint))


def confirm_missing(observed: Observed[StatusT, Record], _now: datetime) -> Plan[Confirm[Record]] | None:
    """P8: absence from a listing proves nothing; a GET does. Without a listing, nothing counts as missing."""
    listed = observed.seen.listing is not None
    unseen = observed.needs_confirmation or (observed.seen.unseen(observed.ids) if listed else None)
    return Plan(calls.Confirm(unseen)) if unseen else None


def wait_for_the_missing(observed: AnyObserved, now: datetime) -> Verdict | None:
    """P8: a known id counts as lost only after it answered 404 for `missing_grace`."""
    since = observed.status.operator.missing_since
    if since is None or now >= since + observed.policy.missing_grace:
        return None
    message = f"The remote {observed.noun} {observed.status.remote_id} answers 404; it is given up if that stays so."
    return Verdict(ready="Unknown", reason=reasons.REMOTE_MISSING, message=message, phase="Retrying",
                   progress=Progress.RECONCILING, follow=observed.follow,
                   look_again=memory.until(since + observed.policy.missing_grace, now))


def is_lost(observed: AnyObserved, now: datetime) -> bool:
    """Whether the recorded id answered 404 for longer than `missing_grace`."""
    since = observed.status.operator.missing_since
    return since is not None and now >= since + observed.policy.missing_grace


def wait_for_the_open_create(observed: AnyObserved, now: datetime) -> Verdict | None:
    """P5: an unanswered POST may still commit; no other is sent before `recreate_delay` has passed."""
    recreate_at = memory.recreate_at(memory.from_status(observed.status), observed.policy)
    if recreate_at is None or now >= recreate_at or creating(observed):
        return None
    message = (f"The answer to the last create of a {observed.noun} was lost; looking for it by its ownership token "
               "before another is sent.")
    return Verdict(ready="Unknown", reason=reasons.CONFIRMING_CREATE, message=message, phase="Retrying",
                   progress=Progress.RECONCILING, follow=observed.follow,
                   look_again=memory.until(recreate_at, now))


def rest_when_refused(observed: AnyObserved, now: datetime) -> Verdict | None:
    """A refused create is tried again every `resync`, or at once when the user requests it (ecosystem.md R8)."""
    refused_at, stalled = observed.status.operator.refused_at, grace.lasting_stall(observed.stored.conditions)
    if refused_at is None or stalled is None or creating(observed) or conversation.reconcile_requested(observed):
        return None
    again_at = refused_at + observed.policy.resync
    if now >= again_at or stalled.observed_generation != observed.meta.generation:
        return None
    failure = Failure(FailureClass.STALLED, reasons.stored(stalled.reason), stalled.message)
    return replace(conversation.failed(observed, failure), look_again=memory.until(again_at, now))
