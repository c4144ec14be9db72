"""Deletion of the resource: what must be removed or waited for before the finalizer may go (P9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from agentex_operator.api.metadata import FINALIZER
from agentex_operator.api.status import RemoteStatus
from agentex_operator.core import account_remedies, calls, memory, reasons
from agentex_operator.core.calls import Confirm, LookForOurs, Remove, RemoveFinalizer, WriteIntent
from agentex_operator.core.plan import AccountProblem, Plan, Progress, Verdict
from agentex_operator.core.protocol import conversation, create, removal
from agentex_operator.core.protocol.observed import AnyObserved, Observed, StatusT
from agentex_operator.core.remote import Record, RemoteRecord

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from agentex_operator.core.reasons import Reason


TeardownCall = RemoveFinalizer | LookForOurs[Record] | Confirm[Record] | WriteIntent[StatusT] | Remove
AnyTeardownCall = TeardownCall[RemoteRecord, RemoteStatus]


def release_when_deleted(observed: Observed[StatusT, Record],
                         now: datetime) -> Plan[TeardownCall[Record, StatusT]] | Verdict | None:
    """Once nothing of ours is alive and no create can take effect any more, remove the finalizer."""
    if not observed.meta.deleting:
        return None
    if FINALIZER not in observed.meta.finalizers:
        return Plan(None)
    if observed.orphan or (observed.nothing_left and not may_have_forgotten(observed)):
        return Plan(calls.RemoveFinalizer())
    if isinstance(observed.account, AccountProblem):
        return wait_for_teardown(observed, without_account(observed, observed.account), observed.account.reason)
    answers = (rule(observed, now) for rule in TEARDOWN)
    answer = next((answer for answer in answers if answer is not None), Plan(calls.RemoveFinalizer()))
    # each rule is a generic function, but a tuple of them cannot be generic
    return cast("Plan[TeardownCall[Record, StatusT]] | Verdict", answer)


def without_account(observed: AnyObserved, problem: AccountProblem) -> str:
    """The message of a deletion without an account: the problem, how it could be mended, and the end without that."""
    if problem.temporary:
        return problem.message
    meta, noun, bound = observed.meta, observed.noun, observed.status.account
    orphan = (f"kubectl patch agent{noun}/{meta.name} --namespace={meta.namespace} --type=merge "
              """--patch='{"spec": {"deletionPolicy": "Orphan"}}'""")
    left = f"{noun} {observed.status.remote_id}" if observed.status.remote_id else noun
    place = "" if bound is None else f" in account {bound.account_id}"
    return (f"{problem.message} So the remote {noun} cannot be removed. To leave remote {left}{place} and end this "
            f"deletion: {orphan}. {account_remedies.sentence(problem.remedy)}")


def look_for_the_living(observed: Observed[StatusT, Record], now: datetime) -> Plan[LookForOurs[Record]] | None:
    """Request a listing younger than the deletion, and than T_max where a create is open."""
    deleted_at = observed.meta.deletion_timestamp or observed.started_at
    remembered = memory.from_status(observed.status)
    return create.look(observed, memory.look_for_release(remembered, deleted_at, now, observed.policy))


def remove_the_living(observed: Observed[StatusT, Record],
                      now: datetime) -> Plan[WriteIntent[StatusT] | Remove] | Verdict | None:
    """Remove every record that is alive, one after the other."""
    living = [record for record in observed.seen.records if observed.alive(record)]
    if not living:
        return None
    waiting = f"Waiting for the remote {observed.noun} {living[0].id} to end ({living[0].raw_status})."
    return removal.remove_one_of(observed, living, "Deleted", now) or wait_for_teardown(observed, waiting)


def wait_until_nothing_can_come(observed: AnyObserved, now: datetime) -> Verdict | None:
    """P9: a POST that was never answered may commit until T_max has passed."""
    free_at = memory.nothing_can_come_at(memory.from_status(observed.status), observed.policy)
    if free_at is None or now >= free_at:
        return None
    message = (f"The answer to a create was lost; until {free_at:%Y-%m-%dT%H:%M:%SZ} a remote {observed.noun} may "
               "still appear, which would then be removed.")
    return wait_for_teardown(observed, message, look_again=memory.until(free_at, now))


def may_have_forgotten(observed: AnyObserved) -> bool:
    """Whether the status may have been removed by another client, so that a listing must show that nothing is alive.

    Such a status holds no report of any pass (-1), or a removal and no id. Without an account to ask, it is believed.
    """
    status, account = observed.status, observed.account
    if isinstance(account, AccountProblem) and not account.temporary:
        return False
    return status.remote_id is None and (status.observed_generation < 0 or status.operator.removal is not None)


def wait_for_teardown(observed: AnyObserved, message: str, reason: Reason = reasons.DELETING,
                      look_again: timedelta | None = None) -> Verdict:
    """The verdict while the deletion waits."""
    return Verdict(ready="False", reason=reason, message=message, phase="Deleting", progress=Progress.RECONCILING,
                   follow=observed.follow, look_again=look_again or observed.policy.recreate_delay)


TEARDOWN: tuple[conversation.Rule[AnyObserved, AnyTeardownCall], ...] = (
    look_for_the_living,
    create.confirm_missing,
    remove_the_living,
    wait_until_nothing_can_come,
)
