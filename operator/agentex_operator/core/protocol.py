"""What both kinds do alike: the pass as a conversation, and the rules of the create protocol (reliability.md §2.0).

A kind's `Observed` extends the one here; its rules are an ordered tuple in which these stand among its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar

from agentex_operator.api.metadata import FINALIZER, Meta
from agentex_operator.api.status import RemoteStatus, Removal, RemovalReason, status_as_dict
from agentex_operator.core import conditions, creation, plan, reasons
from agentex_operator.core.creation import Hold, Sightings
from agentex_operator.core.errors import Conflict, ExternalError, Rejected, Unavailable
from agentex_operator.core.failures import Failure, Means, classify
from agentex_operator.core.plan import Account, AccountProblem, Fact, Plan, Policy, Progress, Verdict
from agentex_operator.core.remote import Record, RemoteState

StatusT = TypeVar("StatusT", bound=RemoteStatus)
SelfT = TypeVar("SelfT", bound="Observed[Any, Any]")


@dataclass(frozen=True, kw_only=True)
class Observed(ABC, Generic[StatusT, Record]):
    """Everything looked at before deciding, and what this pass has learned so far."""

    noun: ClassVar[str]
    removed_at_once: ClassVar[bool] = False  # whether a removal that was answered has happened
    meta: Meta
    stored: StatusT                      # the status as the API server has it
    status: StatusT                      # the status as this pass has it so far
    cluster: str                         # uid of the kube-system namespace
    account: Account | AccountProblem
    policy: Policy
    began: datetime                      # when this pass began
    seen: Sightings[Record]
    looked_since: datetime | None = None  # how fresh the listing in hand was asked to be
    doubted: str | None = None           # an id of which the remote just said something else than the listing
    fenced: str | None = None            # the purpose of the conditional write just made
    asked_to_go: frozenset[str] = frozenset()  # the ids whose removal this pass has asked for
    failure: Failure | None = None       # why this pass goes no further
    over: bool = False                   # the object is gone, or another than the one we decided on

    @property
    @abstractmethod
    def owner(self) -> str:
        """How our records name us."""

    @property
    @abstractmethod
    def orphan(self) -> bool:
        """Whether the user wants what is remote to be left alone."""

    @property
    @abstractmethod
    def nothing_left(self) -> bool:
        """Whether our own notes alone say that nothing remote is alive or can come."""

    @property
    @abstractmethod
    def follow(self) -> timedelta:
        """How often the inventory shall look for our remote, as it stands."""

    @property
    def ids(self) -> frozenset[str]:
        """Every remote id on record."""
        return hold_of(self.status).ids

    @property
    def fingerprint(self) -> str | None:
        """What our record would look like if the server dropped our token; None where that cannot happen."""
        return None

    @property
    def recorded(self) -> Record | None:
        """The record of the recorded id, if it was seen."""
        return self.seen.find(self.status.remote_id)

    @abstractmethod
    def alive(self, record: Record) -> bool:
        """Whether it still is, or may still become, something that must be removed on deletion."""

    @abstractmethod
    def of_another(self, record: Record) -> bool:
        """Whether a record with an id that is on record says that it is somebody else's."""

    @abstractmethod
    def wanted(self, record: Record) -> bool:
        """Whether this is the record of the create we wrote down."""

    @abstractmethod
    def mirrored(self: SelfT, now: datetime) -> SelfT:
        """With what the recorded record says folded into the status."""

    @abstractmethod
    def facts(self) -> Iterable[Fact]:
        """The domain's conditions, in their fixed order."""


Answer = Plan[Any] | Verdict | None
Rule = Callable[[SelfT, datetime], Answer]


def hold_of(status: RemoteStatus) -> Hold:
    """What the status remembers of the remote side."""
    return Hold(status.remote_id, status.pending_create, status.unanswered_create_at, status.condemned)


def holding(status: StatusT, hold: Hold) -> StatusT:
    """The status with that memory."""
    changed = replace(status, pending_create=hold.pending, unanswered_create_at=hold.unanswered_at,
                      condemned=hold.condemned)
    return changed.with_remote_id(hold.id)


# --- deciding -----------------------------------------------------------------------------------------------------


def decide(observed: SelfT, rules: tuple[Rule[SelfT], ...], now: datetime) -> Plan[Any]:
    """The next call, or how the pass ends: the first rule to answer decides."""
    if observed.over:
        return Plan(None, failed=observed.failure is not None)
    for rule in rules:
        answer = rule(observed, now)
        if answer is not None:
            return report(observed, answer, now) if isinstance(answer, Verdict) else answer
    raise AssertionError(f"no rule answered for {observed.noun} {observed.meta.name}")


def report(observed: Observed[Any, Any], verdict: Verdict, now: datetime) -> Plan[Any]:
    """Say it in the status; if that is what the status says already, the pass is over (zero idle writes)."""
    status = said(observed, verdict, now)
    if status_as_dict(status) != status_as_dict(observed.stored):
        return Plan(plan.SaveStatus(status, verdict.notices))
    return Plan(None, look_again=verdict.look_again, follow=verdict.follow, failed=verdict.failed)


def said(observed: Observed[StatusT, Any], verdict: Verdict, now: datetime) -> StatusT:
    """The status with the verdict: phase, conditions and observedGeneration in one (ecosystem.md R2)."""
    generation = observed.meta.generation
    return replace(
        observed.status,
        observed_generation=generation,
        phase=verdict.phase,
        conditions=conditions.render(observed.stored.conditions, verdict, observed.facts(), generation, now),
        last_handled_reconcile_at=observed.meta.reconcile_requested_at or observed.status.last_handled_reconcile_at,
    )


def is_ready_now(observed: Observed[Any, Any]) -> bool:
    """Whether the stored status says Ready=True of this very generation."""
    ready = conditions.find(observed.stored.conditions, conditions.READY)
    return ready is not None and ready.status == "True" and ready.observed_generation == observed.meta.generation


def asked_to_look(observed: Observed[Any, Any]) -> bool:
    """Whether the user asked for a reconcile that was not acknowledged yet (ecosystem.md R12)."""
    asked = observed.meta.reconcile_requested_at
    return asked is not None and asked != observed.stored.last_handled_reconcile_at


# --- rules --------------------------------------------------------------------------------------------------------


def stop_at_failure(observed: Observed[Any, Any], now: datetime) -> Plan[Any] | Verdict | None:
    """A call failed: say so - or say nothing, where it will pass and the resource is Ready or was told already.

    When a create's answer was lost is always written down: what is Ready may be about to get a successor.
    """
    failure = observed.failure
    if failure is None:
        return None
    quiet = not observed.meta.deleting and observed.status.pending_create is None and is_ready_now(observed)
    if failure.means is Means.TRANSIENT and quiet:
        return Plan(None, look_again=failure.retry_after, follow=observed.follow, failed=failure.backs_off)
    return failed(observed, failure)


def failed(observed: Observed[Any, Any], failure: Failure) -> Verdict:
    """What to say of a failure (house.md §2, the table)."""
    if failure.means is Means.STALLED:
        return Verdict(ready="False", reason=failure.reason, message=failure.message, phase="Failed",
                       progress=Progress.STALLED, look_again=observed.policy.reference_resync,
                       follow=observed.follow)
    waiting = failure.means is Means.WAITING
    return Verdict(ready="False", reason=failure.reason, message=failure.message, phase="Pending" if waiting else
                   "Retrying", progress=Progress.RECONCILING, follow=observed.follow, failed=failure.backs_off,
                   look_again=observed.policy.reference_resync if waiting else failure.retry_after)


def suspended(observed: Observed[Any, Any], message: str) -> Verdict:
    """Acknowledged as done, so that nobody waits for it; but what failed does not become Ready (ecosystem.md R13)."""
    verdict = Verdict(ready="True", reason=reasons.SUSPENDED, phase="Suspended", follow=observed.follow,
                      message=message)
    stalled = conditions.find(observed.stored.conditions, conditions.STALLED)
    if stalled is None:
        return verdict
    return replace(verdict, ready="False", reason=stalled.reason, message=stalled.message, progress=Progress.STALLED)


def take_hold(observed: Observed[Any, Any], _now: datetime) -> Plan[Any] | None:
    """P1: the finalizer, before anything remote."""
    return None if FINALIZER in observed.meta.finalizers else Plan(plan.AddFinalizer())


def wait_for_the_account(observed: Observed[Any, Any], _now: datetime) -> Plan[Any] | Verdict | None:
    """Without an account there is nobody to ask. Right after a start its own first pass has yet to come."""
    problem = observed.account
    if isinstance(problem, Account):
        return None
    if problem.temporary:
        return Plan(None)
    return failed(observed, Failure(Means.WAITING, problem.reason, problem.message))


def look_for_ours(observed: Observed[Any, Any], now: datetime) -> Plan[Any] | None:
    """P4, P7: read by list what there is of ours, fresh enough to rule on an open create."""
    if creating(observed):
        return None
    hold = hold_of(observed.status)
    since = creation.look_not_before(hold, now, observed.policy)
    if hold.empty:
        since = observed.meta.creation_timestamp
    return look(observed, observed.began if asked_to_look(observed) else since)


def creating(observed: Observed[Any, Any]) -> bool:
    """Whether the intent of a create was just written: nothing may come between it and the POST."""
    return (observed.fenced or "").startswith("create")


def look(observed: Observed[Any, Any], fresh_since: datetime | None) -> Plan[Any] | None:
    """Ask for a listing, unless the one in hand is fresh enough."""
    looked = observed.looked_since
    if observed.seen.listing is not None and (fresh_since is None or (looked is not None and looked >= fresh_since)):
        return None
    back_to = observed.meta.creation_timestamp - observed.policy.skew
    return Plan(plan.LookForOurs(observed.owner, observed.ids, back_to, observed.follow, fresh_since,
                                 observed.fingerprint))


def confirm_what_is_missing(observed: Observed[Any, Any], _now: datetime) -> Plan[Any] | None:
    """P8: absence from a listing proves nothing; a GET does. Where no listing was needed, nothing is missing."""
    listed = observed.seen.listing is not None
    unseen = observed.doubted or (observed.seen.unseen(observed.ids) if listed else None)
    return Plan(plan.Confirm(unseen)) if unseen else None


def wait_for_the_missing(observed: Observed[Any, Any], now: datetime) -> Verdict | None:
    """P8: a 404 of a known id is believed only after a while."""
    since = observed.status.missing_since
    if since is None or now >= since + observed.policy.missing_grace:
        return None
    message = f"The remote {observed.noun} {observed.status.remote_id} answers 404; it is given up if that stays so."
    return Verdict(ready="Unknown", reason=reasons.REMOTE_MISSING, message=message, phase="Retrying",
                   progress=Progress.RECONCILING, follow=observed.follow,
                   look_again=creation.until(since + observed.policy.missing_grace, now))


def is_lost(observed: Observed[Any, Any], now: datetime) -> bool:
    """Whether the recorded id is confirmed gone, beyond the grace."""
    since = observed.status.missing_since
    return since is not None and now >= since + observed.policy.missing_grace


def wait_for_the_open_create(observed: Observed[Any, Any], now: datetime) -> Verdict | None:
    """P5: an unanswered POST may still commit; nothing is sent again before it had its time."""
    settles_at = creation.settles_at(hold_of(observed.status), observed.policy)
    if settles_at is None or now >= settles_at or creating(observed):
        return None
    message = (f"The answer to the last create of a {observed.noun} was lost; looking for it by its ownership token "
               "before another is sent.")
    return Verdict(ready="Unknown", reason=reasons.CONFIRMING_CREATE, message=message, phase="Retrying",
                   progress=Progress.RECONCILING, follow=observed.follow,
                   look_again=creation.until(settles_at, now))


def remove(observed: Observed[Any, Any], record: Record, why: RemovalReason, now: datetime) -> Plan[Any] | None:
    """P7: a conditional write names it, then it is removed; asked again when nothing came of it for a while."""
    purpose = f"remove {record.id}"
    if observed.fenced == purpose:
        return Plan(plan.Remove(record.id))
    if record.state is RemoteState.LEAVING or removing(observed, record.id, now):
        return None
    return Plan(plan.WriteIntent(replace(doom(observed, record.id, why),
                                         removal=Removal(id=record.id, reason=why, requested_at=now)), purpose))


def removing(observed: Observed[Any, Any], id_: str, now: datetime) -> bool:
    """Whether a removal is under way: of this one, or of another that does not show yet. The status remembers only one,
    so two would take turns in it, and both be asked for again and again.
    """
    asked = observed.status.removal
    if asked is None or not being_removed(observed, asked.id, now):
        return False
    other = observed.seen.find(asked.id)
    shown = other is None or other.state is RemoteState.LEAVING or not observed.alive(other)
    return asked.id == id_ or not shown


def remove_one_of(observed: Observed[Any, Any], records: Iterable[Record], why: RemovalReason,
                  now: datetime) -> Plan[Any] | None:
    """One after the other: the removal that was asked for is on record until it shows, and only then the next goes."""
    standing = [record for record in records if record.state is not RemoteState.LEAVING]
    asked = [record for record in standing if being_removed(observed, record.id, now)]
    return remove(observed, (asked or standing)[0], why, now) if standing else None


def doom(observed: Observed[StatusT, Any], id_: str, why: RemovalReason) -> StatusT:
    """Condemn what is not wanted; what goes by the user's wish stays on record, to tell how it ended."""
    if why not in ("Duplicate", "Replaced"):
        return observed.status
    return holding(observed.status, creation.condemn(hold_of(observed.status), (id_,)))


def being_removed(observed: Observed[Any, Any], id_: str, now: datetime) -> bool:
    """Whether its removal was asked for a short while ago, or in this pass, however long that has been going on: what
    the pass has seen is from before.
    """
    asked = observed.status.removal
    if id_ in observed.asked_to_go:
        return True
    return asked is not None and asked.id == id_ and now < asked.requested_at + observed.policy.settle


def rest_when_refused(observed: Observed[Any, Any], now: datetime) -> Verdict | None:
    """A create that got a definite no is tried again slowly, or at once when the user asks (ecosystem.md R8)."""
    refused_at, stalled = observed.status.refused_at, conditions.find(observed.stored.conditions, conditions.STALLED)
    if refused_at is None or stalled is None or creating(observed) or asked_to_look(observed):
        return None
    again_at = refused_at + observed.policy.resync
    if now >= again_at or stalled.observed_generation != observed.meta.generation:
        return None
    verdict = failed(observed, Failure(Means.STALLED, stalled.reason, stalled.message))
    return replace(verdict, look_again=creation.until(again_at, now))


def settle_refusal(observed: SelfT, error: ExternalError, now: datetime) -> SelfT:
    """P5: a definite no closes the create; an ambiguous answer leaves it open."""
    failure, status = classify(error), observed.status
    hold = hold_of(status)
    status = holding(status, creation.lost(hold, now) if isinstance(error, Unavailable) else creation.refused(hold))
    refused_at = now if failure.means is Means.STALLED else status.refused_at
    failure = replace(failure, message=f"{failure.message} {REFUSED}") if isinstance(error, Rejected) else failure
    return replace(observed, status=replace(status, refused_at=refused_at), failure=failure, fenced=None)


REFUSED = "Correct the spec, or what it names; as it is, it is only tried again slowly."


# --- letting go (P9) ----------------------------------------------------------------------------------------------


def let_go_when_deleted(observed: Observed[Any, Any], now: datetime) -> Plan[Any] | Verdict | None:
    """Deleted here: nothing of ours may stay alive there, or come later; then the finalizer goes."""
    if not observed.meta.deleting:
        return None
    if FINALIZER not in observed.meta.finalizers:
        return Plan(None)
    if observed.orphan or observed.nothing_left:
        return Plan(plan.RemoveFinalizer())
    if isinstance(observed.account, AccountProblem):
        return wait_for_teardown(observed, f"{observed.account.message}", observed.account.reason)
    answers = (rule(observed, now) for rule in TEARDOWN)
    return next((answer for answer in answers if answer is not None), Plan(plan.RemoveFinalizer()))


def look_for_the_living(observed: Observed[Any, Any], now: datetime) -> Plan[Any] | None:
    """The listing that says nothing is alive must be younger than the deletion, and than T_max where it applies."""
    deleted_at = observed.meta.deletion_timestamp or observed.began
    return look(observed, creation.look_for_release(hold_of(observed.status), deleted_at, now, observed.policy))


def remove_the_living(observed: Observed[Any, Any], now: datetime) -> Plan[Any] | Verdict | None:
    """One after the other, whatever is alive goes."""
    living = [record for record in observed.seen.records if observed.alive(record)]
    if not living:
        return None
    waiting = f"Waiting for the remote {observed.noun} {living[0].id} to end ({living[0].raw_status})."
    return remove_one_of(observed, living, "Deleted", now) or wait_for_teardown(observed, waiting)


def wait_for_what_may_come(observed: Observed[Any, Any], now: datetime) -> Verdict | None:
    """P9: a POST that was never answered may commit until T_max has passed."""
    free_at = creation.nothing_can_come_at(hold_of(observed.status), observed.policy)
    if free_at is None or now >= free_at:
        return None
    message = (f"The answer to a create was lost; until {free_at:%Y-%m-%dT%H:%M:%SZ} a remote {observed.noun} may "
               "still appear, which would then be removed.")
    return wait_for_teardown(observed, message, look_again=creation.until(free_at, now))


def wait_for_teardown(observed: Observed[Any, Any], message: str, reason: str = reasons.DELETING,
                      look_again: timedelta | None = None) -> Verdict:
    """Say what the deletion waits for."""
    return Verdict(ready="False", reason=reason, message=message, phase="Deleting", progress=Progress.RECONCILING,
                   follow=observed.follow, look_again=look_again or observed.policy.settle)


TEARDOWN: tuple[Rule[Any], ...] = (
    look_for_the_living,
    confirm_what_is_missing,
    remove_the_living,
    wait_for_what_may_come,
)


# --- settling -----------------------------------------------------------------------------------------------------


def settle(observed: SelfT, call: object, outcome: Any, now: datetime) -> SelfT:  # noqa: PLR0911 - one per call
    """Fold the outcome of a call that both kinds make back into what is observed."""
    if isinstance(outcome, Conflict):
        return replace(observed, over=True, failure=classify(outcome))
    if isinstance(call, plan.Remove):
        observed = replace(observed, asked_to_go=observed.asked_to_go | {call.id})
    if isinstance(outcome, ExternalError):
        return settle_error(observed, call, outcome)
    match call:
        case plan.AddFinalizer():
            return replace(observed, meta=outcome)
        case plan.SaveStatus() | plan.WriteIntent():
            return settle_write(observed, call, outcome)
        case plan.LookForOurs():
            return settle_listing(observed, call, outcome, now)
        case plan.Confirm():
            seen = observed.seen.confirm(call.id, ours(observed, outcome))
            return taken_in(replace(observed, seen=seen, doubted=None), now)
        case plan.Remove():
            return replace(observed, fenced=None, doubted=call.id if observed.removed_at_once else None)
        case plan.RemoveFinalizer() | plan.DeleteSelf():
            return replace(observed, over=True)
        case _:
            raise AssertionError(f"an unexpected call {call!r}")


def settle_error(observed: SelfT, call: object, error: ExternalError) -> SelfT:
    """A removal that is refused may be done already: a GET decides. Everything else ends the pass.

    Where the status itself cannot be written there is no way to say so: the pass is over, and comes again.
    """
    if isinstance(call, plan.Remove) and isinstance(error, Rejected) and observed.fenced is not None:
        return replace(observed, doubted=call.id, fenced=None)
    return replace(observed, failure=classify(error), fenced=None, over=isinstance(call, plan.SaveStatus))


def settle_write(observed: SelfT, call: plan.SaveStatus[Any] | plan.WriteIntent[Any], meta: Meta) -> SelfT:
    """The API server has it: the write is the view now, and a fence if it was one."""
    fenced = call.purpose if isinstance(call, plan.WriteIntent) else None
    return replace(observed, meta=meta, stored=call.status, status=call.status, fenced=fenced)


def settle_listing(observed: SelfT, call: plan.LookForOurs, listing: Any, now: datetime) -> SelfT:
    """P4: adopt what is ours, mirror what is recorded."""
    records = tuple(record for record in listing.records if ours(observed, record) is not None)
    seen = replace(observed.seen, listing=replace(listing, records=records))
    looked = replace(observed, seen=seen, looked_since=call.fresh_since or listing.began_at)
    return taken_in(looked, now)


def ours(observed: Observed[Any, Any], record: Any) -> Any:
    """The record; None where its id names somebody else's by now: ours is lost, and theirs is not touched (I4)."""
    return None if record is None or observed.of_another(record) else record


def taken_in(observed: SelfT, now: datetime) -> SelfT:
    """With the newest sightings folded in: adoption, condemned ones that are gone, the recorded one's news."""
    return forgiven(adopted(observed)).mirrored(now)


def adopted(observed: SelfT) -> SelfT:
    """P4: where no id is on record, the lowest of ours that is wanted."""
    hold = hold_of(observed.status)
    found = creation.first_of(observed.seen.records, hold, observed.wanted) if hold.id is None else None
    if found is None:
        return observed
    status = replace(observed.status, refused_at=None)
    return replace(observed, status=holding(status, creation.adopt(hold, found.id)))


def forgiven(observed: SelfT) -> SelfT:
    """Condemned ids that are dead need no memory."""
    def gone(id_: str) -> bool:
        record = observed.seen.find(id_)
        return observed.seen.absent(id_) if record is None else not observed.alive(record)

    hold = creation.forgive_the_gone(hold_of(observed.status), gone)
    return replace(observed, status=holding(observed.status, hold))
