"""Fold the outcome of a call that all remote kinds make into what is observed: adopt, mirror, prune."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from agentex_operator.core import account_binding, calls, memory
from agentex_operator.core.errors import Conflict, ExternalError, Rejected, Unavailable
from agentex_operator.core.failures import FailureClass, classify
from agentex_operator.core.observed_records import ObservedRecords

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from agentex_operator.api.metadata import Meta
    from agentex_operator.api.status import RemoteStatus
    from agentex_operator.core.calls import AnyCommonCall
    from agentex_operator.core.protocol.observed import AnyObserved, ObservedT
    from agentex_operator.core.remote import Listing, RemoteRecord

REFUSED = "Correct the spec, or what it names; as it is, it is only tried again slowly."


def settle(observed: ObservedT, call: AnyCommonCall, outcome: object, now: datetime) -> ObservedT:
    """Fold the outcome of a call that all kinds make into the observed state; `outcome` may be an ExternalError."""
    if isinstance(outcome, Conflict):
        return fail(observed, outcome)
    if isinstance(call, calls.Remove):
        observed = replace(observed, removal_requested=observed.removal_requested | {call.id})
    if isinstance(outcome, ExternalError):
        return settle_error(observed, call, outcome)
    return settle_answer(observed, call, outcome, now)


def settle_answer(
    observed: ObservedT, call: AnyCommonCall, outcome: object, now: datetime
) -> ObservedT:
    """Fold a successful outcome into the observed state."""
    match call:
        case calls.AddFinalizer():
            return replace(observed, meta=call.read(outcome))
        case calls.SaveStatus() | calls.WriteIntent():
            return settle_write(observed, call, call.read(outcome))
        case calls.LookForOurs() | calls.Confirm():
            return settle_records(observed, call, outcome, now)
        case calls.ReadCandidate() | calls.FindHolders():
            return settle_adoption(observed, call, outcome)
        case calls.Remove():
            unsure = call.id if observed.removed_at_once else None
            return replace(observed, last_write_purpose=None, needs_confirmation=unsure)
        case calls.RemoveFinalizer() | calls.DeleteSelf():
            return replace(observed, object_gone=True)
        case _:
            assert_never(call)


def fail(observed: ObservedT, error: ExternalError) -> ObservedT:
    """The error ends the pass; after a Conflict the object is no more the version that was decided on."""
    if isinstance(error, Conflict):
        return replace(observed, object_gone=True, failure=classify(error))
    return replace(observed, failure=classify(error), last_write_purpose=None)


def settle_error(observed: ObservedT, call: AnyCommonCall, error: ExternalError) -> ObservedT:
    """A removal that is refused may have happened already: a GET decides. Every other error ends the pass.

    If the status itself cannot be written, the error cannot be reported: the pass is over, and is made again.
    """
    if isinstance(call, calls.Remove) and isinstance(error, Rejected) and observed.last_write_purpose is not None:
        return replace(observed, needs_confirmation=call.id, last_write_purpose=None)
    return replace(fail(observed, error), object_gone=isinstance(call, calls.SaveStatus))


def settle_write(observed: ObservedT, call: calls.SaveStatus[RemoteStatus] | calls.WriteIntent[RemoteStatus],
                 meta: Meta) -> ObservedT:
    """Use the written object as the new view; record its purpose if it was an intent write.

    What was seen for a restored status, whose owner is another one, does not count once the status is ours.
    """
    purpose = call.purpose if isinstance(call, calls.WriteIntent) else None
    written = replace(observed, meta=meta, stored=call.status, status=call.status, last_write_purpose=purpose)
    if not observed.restored or call.status.operator.written_for != meta.uid:
        return written
    return replace(written, foreign_record_seen=False, seen=ObservedRecords(), listed_since=None)


def settle_records(observed: ObservedT, call: calls.LookForOurs[RemoteRecord] | calls.Confirm[RemoteRecord],
                   outcome: object, now: datetime) -> ObservedT:
    """Keep what a listing or a GET shows of our records, then adopt and mirror."""
    if isinstance(call, calls.LookForOurs):
        return settle_listing(observed, call, call.read(outcome), now)
    return settle_confirmed(observed, call, call.read(outcome), now)


def settle_listing(observed: ObservedT, call: calls.LookForOurs[RemoteRecord], listing: Listing[RemoteRecord],
                   now: datetime) -> ObservedT:
    """P4: keep our records of the listing, then adopt and mirror."""
    records = tuple(record for record in listing.records if ours(observed, record) is not None)
    seen = replace(observed.seen, listing=replace(listing, records=records))
    noted = replace(observed, seen=seen, listed_since=call.fresh_since or listing.began_at)
    return without_unanswered(apply_records(noting_a_foreign_record(noted, listing.records), now))


def settle_confirmed(observed: ObservedT, call: calls.Confirm[RemoteRecord], found: RemoteRecord | None,
                     now: datetime) -> ObservedT:
    """P8: keep the answer to a GET, then adopt and mirror."""
    noted = replace(observed, seen=observed.seen.confirm(call.id, ours(observed, found)), needs_confirmation=None)
    return apply_records(noting_a_foreign_record(noted, () if found is None else (found,)), now)


def settle_adoption(observed: ObservedT, call: calls.ReadCandidate[RemoteRecord] | calls.FindHolders,
                    outcome: object) -> ObservedT:
    """The object to take over, or the other resources that hold it, are known for the rest of this pass."""
    if isinstance(call, calls.ReadCandidate):
        return replace(observed, candidate=(call.read(outcome),))
    return replace(observed, holders=call.read(outcome), holders_read_live=call.live)


def ours(observed: AnyObserved, record: RemoteRecord | None) -> RemoteRecord | None:
    """The record; None where its id belongs to another owner by now: ours is lost, and theirs is not touched (I4)."""
    return None if record is None or observed.of_another(record) else record


def noting_a_foreign_record(observed: ObservedT, records: Iterable[RemoteRecord]) -> ObservedT:
    """With a note if the recorded id has another owner's token, and the status does not say whose it is.

    A status that was written for this resource says so: then the id was given to another object since (`ours`).
    """
    foreign = any(record.id == observed.status.remote_id and observed.owner_named(record) is not None
                  and observed.of_another(record) for record in records)
    unknown = observed.status.operator.written_for is None
    return replace(observed, foreign_record_seen=True) if foreign and unknown else observed


def apply_records(observed: ObservedT, now: datetime) -> ObservedT:
    """Fold the newest records in: adopt one, forget condemned ones that are gone, mirror the recorded one."""
    return written_for_us(without_gone(adopted(observed)).mirrored(now))


def written_for_us(observed: ObservedT) -> ObservedT:
    """With our uid in the status, if the recorded object has our token."""
    record, kept = observed.recorded, observed.status.operator
    if record is None or kept.written_for is not None or observed.owner_named(record) != observed.owner:
        return observed
    return replace(observed, status=replace(observed.status, operator=replace(kept, written_for=observed.meta.uid)))


def adopted(observed: ObservedT) -> ObservedT:
    """P4: if no id is on record, record the lowest of our wanted records, and the account that it was found in."""
    remembered = memory.from_status(observed.status)
    if remembered.id is not None:
        return observed
    found = memory.first_of(observed.seen.records, remembered, observed.wanted)
    if found is None:
        return observed
    bound = observed.status.account or account_binding.bound_account(observed.account, None)
    status = memory.into_status(observed.status, memory.adopt(remembered, found.id))
    kept = replace(status.operator, refused_at=None)
    return replace(observed, status=replace(status, operator=kept, account=bound))


def without_gone(observed: ObservedT) -> ObservedT:
    """Forget condemned ids that are no longer alive."""
    def gone(id_: str) -> bool:
        record = observed.seen.find(id_)
        return observed.seen.absent(id_) if record is None else not observed.alive(record)

    remembered = memory.prune_gone(memory.from_status(observed.status), gone)
    return replace(observed, status=memory.into_status(observed.status, remembered))


def without_unanswered(observed: ObservedT) -> ObservedT:
    """P9: forget the create that was never answered, if the listing in hand began when nothing could come any more.

    It is remembered while a create is pending, which is repeated under its token; and while the listing shows an object
    on no record that has to end, because a deletion must not trust the status alone then.
    """
    remembered, listed = memory.from_status(observed.status), observed.listed_since
    free_at = memory.nothing_can_come_at(remembered, observed.policy)
    if free_at is None or listed is None or listed < free_at:
        return observed
    if remembered.pending is not None or observed.strays or observed.restored:
        return observed
    status = memory.into_status(observed.status, memory.nothing_came(remembered))
    return replace(observed, status=status)


def settle_refusal(observed: ObservedT, error: ExternalError, now: datetime) -> ObservedT:
    """P5: a definite no closes the create; an ambiguous answer leaves it open."""
    failure, status = classify(error), observed.status
    remembered = memory.from_status(status)
    after = memory.lost(remembered, now) if isinstance(error, Unavailable) else memory.refused(remembered)
    refused_at = now if failure.failure_class is FailureClass.STALLED else status.operator.refused_at
    failure = replace(failure, message=f"{failure.message} {REFUSED}") if isinstance(error, Rejected) else failure
    status = memory.into_status(status, after)
    status = replace(status, operator=replace(status.operator, refused_at=refused_at))
    return replace(observed, status=status, failure=failure, last_write_purpose=None)
