"""Taking over a remote object that another resource created: what `spec.adopt` or a restored status names.

    read the object ──► find holders (cache) ──► claim it in our status ──► find holders (API server) ──► record it

Each write is conditional, and a claim is written before the holders are read live. So of two resources that take over
one object, at least one sees the other: the younger gives its claim up, the older waits until that is done. Nothing is
created before the object is recorded, or refused and `spec.adopt` removed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentex_operator.api.metadata import FINALIZER
from agentex_operator.api.operator_memory import AdoptedObject, Adoption
from agentex_operator.core import account_binding, calls, holders, memory, reasons
from agentex_operator.core.calls import FindHolders, LookForOurs, ReadCandidate, SaveStatus
from agentex_operator.core.failures import Failure, FailureClass
from agentex_operator.core.plan import AccountProblem, Plan, Progress, Verdict
from agentex_operator.core.protocol import conversation, create
from agentex_operator.core.protocol.observed import Observed, StatusT
from agentex_operator.core.remote import Record

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.core.holders import Holder
    from agentex_operator.core.protocol.observed import AnyObserved
    from agentex_operator.core.reasons import Reason

AdoptionPlan = Plan[ReadCandidate[Record] | FindHolders | LookForOurs[Record] | SaveStatus[StatusT]]


def take_over(observed: Observed[StatusT, Record], now: datetime) -> AdoptionPlan[Record, StatusT] | Verdict | None:
    """Decide on the object that a restored status or `spec.adopt` names, before anything is created or removed."""
    if not is_undecided(observed):
        return None
    if isinstance(observed.account, AccountProblem):
        return None if observed.meta.deleting else create.wait_for_the_account(observed, now)
    if observed.restored and observed.status.remote_id is None and is_open_create_of_another(observed):
        return find_the_open_create(observed, now)
    if observed.restored and not observed.ids:
        return None
    return read_the_candidate(observed) or refuse(observed) or claim_and_record(observed, now)


def is_undecided(observed: AnyObserved) -> bool:
    """Whether an object is named that is neither taken over nor given up; the finalizer comes first (P1)."""
    if FINALIZER not in observed.meta.finalizers:
        return False
    if observed.meta.deleting:
        return observed.restored and not observed.orphan and not observed.nothing_left
    return observed.restored or is_asked_for(observed)


def is_asked_for(observed: AnyObserved) -> bool:
    """Whether `spec.adopt` counts: only while nothing is on record, and nothing ever was."""
    status = observed.status
    nothing = memory.from_status(status).empty and status.attempt == 0 and status.operator.written_for is None
    return observed.named_to_adopt is not None and nothing


def is_open_create_of_another(observed: AnyObserved) -> bool:
    """Whether a create is open whose token names another owner: its answer was lost before the backup."""
    return observed.pending_owner not in (None, observed.owner)


def target(observed: AnyObserved) -> str | None:
    """The id of the object to take over; None where a restored status names only objects that are to be removed."""
    return observed.status.remote_id if observed.restored else observed.named_to_adopt


def ids(observed: AnyObserved) -> frozenset[str]:
    """The ids of all objects to take over: a restored status may name a predecessor and condemned objects too."""
    named = target(observed)
    return observed.ids | (frozenset({named}) if named else frozenset())


# --- the object -------------------------------------------------------------------------------------------------------


def read_the_candidate(observed: Observed[StatusT, Record]) -> Plan[ReadCandidate[Record]] | None:
    """Read the object to take over, once in a pass; a failed read ends the pass, which is tried again."""
    named = target(observed)
    return Plan(calls.ReadCandidate(named)) if named is not None and observed.candidate is None else None


def refuse(observed: Observed[StatusT, Record]) -> AdoptionPlan[Record, StatusT] | Verdict | None:
    """Refuse an object of `spec.adopt` that is gone, has ended or is of another agent.

    What a restored status names is followed like any recorded object: one that is gone is missing first, then lost.
    """
    if observed.restored or observed.candidate is None:
        return None
    noun, named, (record,) = observed.noun, observed.named_to_adopt, observed.candidate
    step = f"Correct spec.adopt, or remove it to create a new {noun}."
    if record is None:
        return refused(observed, reasons.ADOPTION_TARGET_NOT_FOUND, f"The account has no {noun} {named!r}. {step}")
    if observed.has_ended_remotely(record):
        said = f"The remote {noun} {named!r} is {record.raw_status} and cannot be taken over. {step}"
        return refused(observed, reasons.ADOPTION_TARGET_ENDED, said)
    mismatch = observed.mismatch(record)
    if mismatch is not None:
        return refused(observed, reasons.ADOPTION_TARGET_MISMATCH, f"The remote {noun} {named!r} {mismatch}. {step}")
    return None


def refused(observed: Observed[StatusT, Record], reason: Reason,
            message: str) -> Plan[SaveStatus[StatusT]] | Verdict | None:
    """Give up our claim, if we have one, by a write of its own; then report the refusal. A deletion just goes on."""
    if observed.meta.deleting:
        return None
    if claimed(observed) is not None:
        return Plan(calls.SaveStatus(with_claim(observed, None)))
    failure_class = FailureClass.BLOCKED if reason == reasons.ADOPTION_TARGET_HELD else FailureClass.STALLED
    return conversation.failed(observed, Failure(failure_class, reason, message))


# --- the other resources ----------------------------------------------------------------------------------------------


def claim_and_record(observed: Observed[StatusT, Record],
                     now: datetime) -> AdoptionPlan[Record, StatusT] | Verdict | None:
    """Claim the object, see that no other resource holds or claims it, and record it as ours."""
    if is_our_own(observed):
        return Plan(calls.SaveStatus(recorded(observed, now)))
    is_claimed = claimed(observed) in ids(observed)
    if observed.holders is None or (is_claimed and not observed.holders_read_live):
        return Plan(calls.FindHolders(ids(observed), owner_of_the_candidate(observed), live=is_claimed))
    other = holders.in_the_way(observed.holders, observed.rank)
    if other is not None:
        return refused(observed, reasons.ADOPTION_TARGET_HELD, held_message(observed, other))
    if not is_claimed:
        return Plan(calls.SaveStatus(with_claim(observed, target(observed) or min(ids(observed)))))
    return wait_for_younger_claims(observed) or Plan(calls.SaveStatus(recorded(observed, now)))


def is_our_own(observed: Observed[StatusT, Record]) -> bool:
    """Whether the object's token names this resource, so that no other one can hold it."""
    return owner_of_the_candidate(observed) == observed.owner


def owner_of_the_candidate(observed: Observed[StatusT, Record]) -> str | None:
    """The owner that the token of the object names; None without a token or without the object."""
    record = observed.candidate[0] if observed.candidate else None
    return None if record is None else observed.owner_named(record)


def wait_for_younger_claims(observed: AnyObserved) -> Verdict | None:
    """Wait while a younger resource claims the object: it gives its claim up, unless it has not seen ours."""
    if not observed.holders:
        return None
    other = observed.holders[0]
    shared = f"the remote {observed.noun} {shared_id(observed, other)}"
    message = (f"{other.text} is about to take over {shared} too, and was created later; waiting until it gives "
               "that up. If it does not, correct its spec.adopt or delete it.")
    return Verdict(ready="Unknown", reason=reasons.ADOPTION_PENDING, message=message, phase="Pending",
                   progress=Progress.RECONCILING, follow=observed.follow, look_again=observed.policy.recreate_delay)


def shared_id(observed: AnyObserved, other: Holder) -> str:
    """The id of the object that both resources name."""
    return other.id or target(observed) or min(ids(observed))


def held_message(observed: AnyObserved, other: Holder) -> str:
    """Which resource holds the object, and the step that can be taken."""
    noun, relation = observed.noun, "holds" if other.holds else "takes over"
    said = f"{other.text} {relation} the remote {noun} {shared_id(observed, other)}"
    leave = f"delete {other.text} with deletionPolicy Orphan"
    if observed.restored:
        return (f"{said}, which the restored status of this resource names. To create a new {noun}, delete this "
                f"resource and create it again without a status; to take this one over, {leave}.")
    return f"{said}, which spec.adopt names. To create a new {noun}, remove spec.adopt; to take this one over, {leave}."


# --- the status -------------------------------------------------------------------------------------------------------


def claimed(observed: AnyObserved) -> str | None:
    """The id that our status claims."""
    adoption = observed.status.operator.adoption
    return adoption.claimed if adoption else None


def with_claim(observed: Observed[StatusT, Record], id_: str | None) -> StatusT:
    """The status with this claim; None gives the claim up."""
    kept = observed.status.operator
    adoption = replace(kept.adoption or Adoption(), claimed=id_)
    kept = replace(kept, adoption=None if adoption == Adoption() else adoption)
    return replace(observed.status, operator=kept)


def recorded(observed: Observed[StatusT, Record], now: datetime) -> StatusT:
    """The status with the object on record as ours; what is wanted now counts as what it was made from."""
    named, record = target(observed), observed.candidate[0] if observed.candidate else None
    owner = owner_of_the_candidate(observed)
    objects = tuple(AdoptedObject(id=id_, owner=owner if id_ == named else None) for id_ in sorted(ids(observed)))
    before = observed.status.operator.adoption or Adoption()
    dates = [date for date in (before.created_at, record.created_at if record else None) if date is not None]
    bound = observed.status.account or account_binding.bound_account(observed.account, None)
    status = observed.forgetting_the_digest(now).status
    kept = replace(status.operator, written_for=observed.meta.uid, missing_since=None,
                   adoption=Adoption(objects=objects, created_at=min(dates, default=None)))
    status = replace(status, operator=kept, account=bound)
    return status.with_remote_id(named) if named is not None else status


# --- an open create of the resource that is gone ---------------------------------------------------------------------


def find_the_open_create(observed: Observed[StatusT, Record],
                         now: datetime) -> AdoptionPlan[Record, StatusT] | Verdict | None:
    """Look for the object of a create that was open at the backup; once nothing can come any more, create anew.

    A listing that shows the object records its id (P4): then the object is taken over like any that a status names.
    """
    remembered, policy = memory.from_status(observed.status), observed.policy
    free_at = memory.nothing_can_come_at(remembered, policy)
    if remembered.pending is None or free_at is None or observed.pending_owner is None:
        return None
    since = free_at if now >= free_at else remembered.pending.started_at
    if observed.listed_since is None or observed.listed_since < since:
        back_to = remembered.pending.started_at - policy.skew
        return Plan(calls.LookForOurs(observed.pending_owner, observed.ids, back_to, observed.follow, since,
                                      observed.fingerprint))
    if now >= free_at:
        status = memory.into_status(observed.status, memory.nothing_came(remembered))
        kept = replace(status.operator, written_for=observed.meta.uid)
        return Plan(calls.SaveStatus(replace(status, operator=kept)))
    message = (f"The restored status names a create whose answer was lost. Looking for its {observed.noun} until "
               f"{free_at:%Y-%m-%dT%H:%M:%SZ}; then a new one is created.")
    return Verdict(ready="Unknown", reason=reasons.CONFIRMING_CREATE, message=message, phase="Retrying",
                   progress=Progress.RECONCILING, follow=observed.follow,
                   look_again=min(policy.recreate_delay, memory.until(free_at, now)))

