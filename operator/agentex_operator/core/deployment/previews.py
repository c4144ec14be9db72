"""Previews: one at a time, removed at their end or when their successor is healthy, and not recreated."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentex_operator.api.deployment import AgentDeploymentStatus
from agentex_operator.core import calls, conditions, expiry, memory, reasons
from agentex_operator.core.calls import DeleteSelf, Remove, WriteIntent
from agentex_operator.core.plan import Notice, Plan, Progress, Verdict
from agentex_operator.core.protocol import conversation, create, removal
from agentex_operator.core.remote import DeploymentRecord, RemoteState

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.core.deployment.observed import Observed

RemovalCall = WriteIntent[AgentDeploymentStatus] | Remove


def remove_extra_previews(observed: Observed, now: datetime) -> Plan[RemovalCall] | None:
    """P7: one deployment of a preview stays, and one more while it is replaced.

    Production deployments supersede each other remotely; deleting one would remove the release that they share.
    """
    if observed.spec.preview is None or create.creating(observed):
        return None
    kept = {observed.status.deployment_id, observed.status.operator.predecessor_id}
    extras = [record for record in observed.seen.records if observed.alive(record) and record.id not in kept]
    return removal.remove_one_of(observed, extras, "Duplicate", now)


def rest_when_expired(observed: Observed, now: datetime) -> Plan[RemovalCall | DeleteSelf] | Verdict | None:
    """On expiry the remote deployment is removed and the resource is kept; Ready stays True: expiry was requested.

    This rule stands before `create`: an expired preview that is gone must not be created again.
    """
    ends, preview = observed.status.expires_at, observed.spec.preview
    if preview is None or ends is None or not observed.is_expired(now):
        return None
    for record in (observed.recorded, observed.predecessor):
        if record is not None and observed.alive(record):
            return _remove_expired(observed, record, ends, now)
    return _rest(observed, f"The preview expired at {expiry.stamp(ends)} and its deployment is gone.")


def rest_when_never_created(observed: Observed, _now: datetime) -> Plan[DeleteSelf] | Verdict | None:
    """A preview whose end had passed before it was created is not created; like one that ended, it is Ready.

    This rule stands before those that need a ConfigMap or a build: nothing is deployed of them.
    """
    preview = observed.spec.preview
    if preview is None or preview.expires_at is None or not observed.past_before_its_create:
        return None
    message = f"The preview expired at {expiry.stamp(preview.expires_at)}, before its deployment was created."
    return _rest(observed, message, " Set a later spec.preview.expiresAt to deploy it.")


def _rest(observed: Observed, message: str, next_step: str = "") -> Plan[DeleteSelf] | Verdict:
    """Nothing remote is left: keep the resource, or delete it, after its status and an Event have said why."""
    if not _is_deleted_on_expiry(observed):
        return _expired(observed, f"{message}{next_step}{_kept(observed)}")
    ready = conditions.find(observed.stored.conditions, conditions.READY)
    if ready is not None and ready.reason == reasons.EXPIRED and conversation.is_ready_now(observed):
        return Plan(calls.DeleteSelf())
    return _expired(observed, f"{message} The AgentDeployment is deleted too: spec.preview.onExpiry is Delete.")


def is_over_and_gone(observed: Observed) -> bool:
    """Whether the preview ended, and a pass has seen that nothing remote is left of it."""
    known = observed.past_before_its_create and conversation.is_ready_now(observed)
    return (observed.expired_at_start or known) and observed.nothing_left


def _remove_expired(observed: Observed, record: DeploymentRecord, ends: datetime,
                    now: datetime) -> Plan[RemovalCall] | Verdict:
    """The remote has `expiry_grace` for its own clean-up; after that we remove the deployment."""
    grace_ends = ends + observed.policy.expiry_grace
    step = removal.remove(observed, record, "Expired", now) if now >= grace_ends else None
    waiting = _expired(observed, f"The preview expired at {expiry.stamp(ends)}; its deployment is being removed.")
    again = memory.until(grace_ends, now) if now < grace_ends else observed.policy.recreate_delay
    return step or replace(waiting, look_again=again)


def _expired(observed: Observed, message: str) -> Verdict:
    kept = Notice("Warning", reasons.EXPIRY_RETAINED, message)
    removed = observed.nothing_left
    return Verdict(ready="True", reason=reasons.EXPIRED, message=message, phase="Expired",
                   follow=None if removed else observed.follow,
                   notices=(kept,) if _kept(observed) and removed else ())


def _is_deleted_on_expiry(observed: Observed) -> bool:
    return _deletes(observed) and not _managed_by_gitops(observed)


def _kept(observed: Observed) -> str:
    kept = _deletes(observed) and _managed_by_gitops(observed)
    return " It is kept although onExpiry is Delete: Argo CD, Flux or Helm would recreate it." if kept else ""


def _deletes(observed: Observed) -> bool:
    return observed.spec.preview is not None and observed.spec.preview.on_expiry == "Delete"


def _managed_by_gitops(observed: Observed) -> bool:
    return expiry.managed_by_gitops(observed.meta.labels, observed.meta.annotations)


def remove_the_predecessor(observed: Observed, now: datetime) -> Plan[RemovalCall] | None:
    """Remove the old preview when the new one is healthy. An old production one is superseded by the remote."""
    before = observed.predecessor
    if before is None or observed.spec.preview is None or observed.state is not RemoteState.SUCCEEDED:
        return None
    return removal.remove(observed, before, "Replaced", now)


def check_the_expiry(observed: Observed, now: datetime) -> Verdict | None:
    """A preview whose expiresAt is changed to a moment that has passed is not replaced."""
    preview = observed.spec.preview
    if preview is None or preview.expires_at is None or preview.expires_at > now:
        return None
    return Verdict(ready="False", reason=reasons.INVALID_EXPIRY, phase="Failed", progress=Progress.STALLED,
                   message=f"spec.preview.expiresAt, {expiry.stamp(preview.expires_at)}, has passed. Set a later one.",
                   follow=observed.follow, look_again=observed.references_poll)
