"""AgentexAccount and ClusterAgentexAccount: the decisions. "With this key, that remote account answers."

Ready is one cheap authenticated call. 401 or 403 stops all traffic of the account but one slow probe; another key in
the Secret is noticed without a restart. A deleted account goes on working for the deletion of what it holds
(core/account_hold.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from agentex_operator.api.account import BuildCounts, DeploymentCounts
from agentex_operator.api.metadata import FINALIZER
from agentex_operator.api.status import status_as_dict
from agentex_operator.core import account_hold, account_remedies, calls, conditions, grace, reasons
from agentex_operator.core.calls import (
    AddFinalizer,
    ListAccountHolders,
    ProbeAccount,
    ReadKey,
    RemoveFinalizer,
    SaveStatus,
)
from agentex_operator.core.errors import Conflict, ExternalError, Rejected, Unauthorized, Unavailable
from agentex_operator.core.failures import Failure, FailureClass, classify
from agentex_operator.core.plan import Plan, Policy, Progress, Verdict
from agentex_operator.core.remote import RemoteState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from agentex_operator.api.account import AccountSpec, AccountStatus
    from agentex_operator.api.metadata import Meta
    from agentex_operator.core.account_hold import AccountHolders
    from agentex_operator.core.endpoints import EndpointRules


AccountCall = AddFinalizer | RemoveFinalizer | ListAccountHolders | ReadKey | ProbeAccount | SaveStatus["AccountStatus"]


@dataclass(frozen=True, slots=True)
class Counts:
    """What the account's inventories count at the moment; None where they have not listed yet."""

    builds: BuildCounts | None = None
    deployments: DeploymentCounts | None = None
    throttled: bool = False


def build_counts(states: Mapping[RemoteState, int]) -> BuildCounts:
    """The counts of builds that an account's status shows, from how many are in each state."""
    return BuildCounts(queued=states.get(RemoteState.WAITING, 0), running=states.get(RemoteState.RUNNING, 0))


def deployment_counts(states: Mapping[RemoteState, int], previews: int) -> DeploymentCounts:
    """The counts of deployments that an account's status shows; `previews` are those alive."""
    return DeploymentCounts(healthy=states.get(RemoteState.SUCCEEDED, 0), failed=states.get(RemoteState.FAILED, 0),
                            previews=previews)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What is known of one account in one pass."""

    meta: Meta
    spec: AccountSpec
    stored: AccountStatus
    status: AccountStatus
    policy: Policy
    started_at: datetime
    counts: Counts
    endpoints: EndpointRules              # where its key may be sent
    counted: Counts | None = None         # what this process said of them last
    proved_at: datetime | None = None     # when this key last got an answer, in this process
    key_read: bool = False
    held_by: AccountHolders = ()          # the resources for which a deleted account stays
    holders_read_live: bool = False       # whether they were read from the API server, not from the cache
    has_session: bool = False             # whether this process has an API key in its memory
    in_use: bool = False                  # whether a pass of a resource that may create something has the account
    failure: Failure | None = None
    object_gone: bool = False


def release_when_unused(observed: Observed, _now: datetime) -> Plan[ListAccountHolders | RemoveFinalizer] | None:
    """Remove the finalizer of a deleted account that no resource is bound to, by the cache and then by a live list.

    The end of a pass that uses the account, and the end of what holds the account, have another pass of the account.
    """
    meta = observed.meta
    if not meta.deleting or observed.failure is not None:
        return None
    if account_hold.may_go(meta, observed.held_by, in_use=observed.in_use):
        return Plan(calls.RemoveFinalizer() if observed.holders_read_live else calls.ListAccountHolders())
    return None if FINALIZER in meta.finalizers and observed.held_by else Plan(None)


def refuse_an_endpoint(observed: Observed, _now: datetime) -> Verdict | None:
    """Before the key is read: a key is sent to allowed endpoints only, and in the clear only where that is allowed."""
    refusal = observed.endpoints.refusal(observed.spec.endpoint)
    if refusal is None:
        return None
    return Verdict(ready="False", reason=refusal.reason, message=refusal.message, phase="Failed",
                   progress=Progress.STALLED)


def stop_at_failure(observed: Observed, _now: datetime) -> Verdict | None:
    """The key is not there, or the remote does not answer it: nobody can work with this account."""
    failure = observed.failure
    if failure is None:
        return None
    stored, policy, now = observed.stored.conditions, observed.policy, observed.started_at
    stalled = grace.stalls(failure, stored, observed.meta.generation, policy, now)
    return Verdict(ready="False", reason=failure.reason, message=failure.message,
                   phase="Failed" if stalled else "Pending", failed=failure.backs_off,
                   progress=Progress.STALLED if stalled else Progress.RECONCILING,
                   look_again=failure.retry_after or grace.next_look(failure, stored, policy, now))


def add_finalizer(observed: Observed, _now: datetime) -> Plan[AddFinalizer] | None:
    """Before the first use: no remote object is created with an account that could vanish at once."""
    return None if observed.meta.deleting or FINALIZER in observed.meta.finalizers else Plan(calls.AddFinalizer())


def read_the_key(observed: Observed, _now: datetime) -> Plan[ReadKey] | None:
    """In every pass: a rotated Secret is noticed without a restart."""
    return None if observed.key_read else Plan(calls.ReadKey(observed.spec.api_key_secret_ref))


def probe(observed: Observed, now: datetime) -> Plan[ProbeAccount] | None:
    """Probe once per key, when the user wants it, and slowly ever after."""
    wished = not observed.stored.has_handled_reconcile(observed.meta)
    since = observed.proved_at
    fresh = since is not None and now < since + observed.policy.resync and (not wished or since >= observed.started_at)
    return None if fresh else Plan(calls.ProbeAccount())


def report_ready(observed: Observed, _now: datetime) -> Verdict | None:
    """It answers."""
    return Verdict(ready="True", reason=reasons.SUCCEEDED, phase="Ready",
                   message=f"Account {observed.spec.account_id} at {observed.spec.endpoint} answers.",
                   look_again=observed.policy.reference_resync)


RULES: tuple[Callable[[Observed, datetime], Plan[AccountCall] | Verdict | None], ...] = (
    release_when_unused,
    refuse_an_endpoint,
    stop_at_failure,
    add_finalizer,
    read_the_key,
    probe,
    report_ready,
)


def decide(observed: Observed, now: datetime) -> Plan[AccountCall]:
    """The next call for this account, or how the pass ends."""
    if observed.object_gone:
        return Plan(None, failed=observed.failure is not None)
    answer = next(answer for answer in (rule(observed, now) for rule in RULES) if answer is not None)
    return report(observed, when_deleted(observed, answer), now) if isinstance(answer, Verdict) else answer


def when_deleted(observed: Observed, verdict: Verdict) -> Verdict:
    """The verdict; of a deleted account, what holds it, and after that what keeps it from answering."""
    if not observed.meta.deleting:
        return verdict
    held = account_hold.described(observed.held_by)
    deleting = replace(verdict, ready="False", phase="Deleting", progress=Progress.RECONCILING)
    if verdict.ready == "True":
        return replace(deleting, reason=reasons.DELETING, message=held)
    if observed.has_session and verdict.reason in account_remedies.KEY_REASONS:
        held += " Until the operator restarts it removes them with the API key in its memory."
    return replace(deleting, message=f"{held} {verdict.message}")


def report(observed: Observed, verdict: Verdict, now: datetime) -> Plan[AccountCall]:
    """Say it in the status, counts beside it; if the status says so already, the pass is over."""
    generation = observed.meta.generation
    status = replace(
        observed.status.handling_reconcile(observed.meta),
        observed_generation=generation,
        phase=verdict.phase,
        conditions=conditions.render(observed.stored.conditions, verdict, (), generation, now),
    )
    if observed.counts != observed.counted:
        status = with_counts(status, observed.counts)
    if status_as_dict(status) != status_as_dict(observed.stored):
        return Plan(calls.SaveStatus(status))
    return Plan(None, look_again=verdict.look_again, failed=verdict.failed)


def with_counts(status: AccountStatus, counts: Counts) -> AccountStatus:
    """The status with what was counted, as far as it was.

    Only what is news to this process is said: another operator may count otherwise, and two that corrected each other
    would write for ever.
    """
    return replace(status, builds=counts.builds or status.builds, deployments=counts.deployments or status.deployments,
                   throttled=counts.throttled)


def settle(observed: Observed, call: AccountCall, outcome: object, now: datetime) -> Observed:
    """Fold the outcome of a call, a value or an ExternalError, into the observed state. Pure."""
    if isinstance(outcome, ExternalError):
        lacks_right = isinstance(call, AddFinalizer) and isinstance(outcome, Unauthorized)
        wrote = isinstance(call, AddFinalizer | RemoveFinalizer | SaveStatus) and not lacks_right
        gone = wrote or isinstance(outcome, Conflict)
        return replace(observed, failure=meaning(outcome), object_gone=gone)
    match call:
        case calls.ListAccountHolders():
            return replace(observed, held_by=call.read(outcome), holders_read_live=True)
        case calls.ReadKey():
            is_new = call.read(outcome)
            return replace(observed, key_read=True, proved_at=None if is_new else observed.proved_at)
        case calls.ProbeAccount():
            return replace(observed, proved_at=now)
        case calls.AddFinalizer() | calls.RemoveFinalizer():
            return replace(observed, meta=call.read(outcome))
        case calls.SaveStatus():
            return replace(observed, meta=call.read(outcome), stored=call.status, status=call.status)
        case _:
            assert_never(call)


def meaning(error: ExternalError) -> Failure:
    """As everywhere; but a 404 to a probe is about the endpoint, not about the user's input."""
    failure = classify(error)
    if isinstance(error, Unavailable):
        again = "It is tried again; if this stays so, check spec.endpoint."
        return replace(failure, message=f"{error.message} {again}")
    if not isinstance(error, Rejected):
        return failure
    reason = reasons.ENDPOINT_NOT_FOUND if error.status == 404 else failure.reason
    return Failure(FailureClass.STALLED, reason, f"{error.message} Check spec.endpoint and spec.accountID; both are "
                   "immutable: if one is wrong, create another account.")
